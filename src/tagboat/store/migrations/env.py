"""Run by Alembic: the connection comes from `tagboat.store.database.migrate`, its transaction too."""

from alembic import context

from tagboat.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=False,
)
context.run_migrations()
