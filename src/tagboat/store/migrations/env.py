"""Entry of Alembic, with the connection and transaction of `tagboat.store.database.migrate`."""

from alembic import context

from tagboat.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=False,
)
context.run_migrations()
