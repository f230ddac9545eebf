import asyncio
from collections.abc import Iterable, Mapping
from datetime import timedelta

import pytest

from tagboat.core.catalog import Registry, RegistryKind
from tagboat.core.errors import PasswordCommandError, RegistryDeniedError, RegistryNotFoundError
from tagboat.core.values import replace
from tagboat.registry.password_command import CommandedLogin
from tagboat.registry.passwords import CommandedPasswords
from tests.support.clock import FakeClock

OURS = Registry(
    id="r1",
    name="ours",
    url="https://r.example.com",
    kind=RegistryKind.OCI,
    username="AWS",
    password_command="give",
)


class Command:
    """A command that prints `p1`, then `p2` and so on, or fails with `failure`."""

    def __init__(self) -> None:
        self.runs = 0
        self.lifetime = timedelta(hours=1)
        self.failure = ""
        self.masked: list[list[str]] = []
        self.fixed = ""
        self.username = ""

    async def __call__(
        self, registry: Registry, _environment: Mapping[str, str], secrets: Iterable[str]
    ) -> CommandedLogin:
        self.runs += 1
        self.masked.append(list(secrets))
        await asyncio.sleep(0)
        if self.failure:
            raise PasswordCommandError(f"{registry.name}: {self.failure}")
        return CommandedLogin(self.username, self.fixed or f"p{self.runs}", self.lifetime)


class Door:
    """A registry that opens to one password only, and remembers which were tried."""

    def __init__(self, opens_to: str) -> None:
        self.opens_to = opens_to
        self.tried: list[str | None] = []

    async def __call__(self, registry: Registry | None) -> str:
        password = registry.password if registry else None
        self.tried.append(password)
        if password != self.opens_to:
            raise RegistryDeniedError("denied")
        return "in"


@pytest.fixture
def command() -> Command:
    return Command()


@pytest.fixture
def passwords(clock: FakeClock, command: Command) -> CommandedPasswords:
    return CommandedPasswords({}, clock, command)


async def enter(
    passwords: CommandedPasswords, door: Door, registry: Registry | None = OURS, what: str = "app"
) -> str:
    return await passwords.use(registry, door, RegistryDeniedError, what)


@pytest.mark.anyio
async def test_a_password_is_kept_until_shortly_before_it_expires(
    passwords: CommandedPasswords, command: Command, clock: FakeClock
) -> None:
    for _ in range(3):
        assert await enter(passwords, Door("p1")) == "in"
    clock.advance(3600 - 11)
    assert (await enter(passwords, Door("p1")), command.runs) == ("in", 1)
    clock.advance(2)
    assert (await enter(passwords, Door("p2")), command.runs) == ("in", 2)


@pytest.mark.anyio
async def test_its_own_lifetime_counts_also_one_of_nothing(
    passwords: CommandedPasswords, command: Command, clock: FakeClock
) -> None:
    command.lifetime = timedelta(seconds=4)
    await enter(passwords, Door("p1"))
    clock.advance(1.9)
    await enter(passwords, Door("p1"))
    clock.advance(0.2)
    command.lifetime = timedelta(0)
    await enter(passwords, Door("p2"))
    await enter(passwords, Door("p3"))


@pytest.mark.anyio
async def test_a_refused_password_that_was_kept_is_renewed_once(
    passwords: CommandedPasswords, command: Command
) -> None:
    await enter(passwords, Door("p1"))
    door = Door("p2")
    assert await enter(passwords, door) == "in"
    assert (door.tried, command.runs) == (["p1", "p2"], 2)
    shut = Door("none")
    with pytest.raises(RegistryDeniedError):
        await enter(passwords, shut, what="secret")
    assert (shut.tried, command.runs) == (["p2", "p3"], 3)


@pytest.mark.anyio
async def test_a_refusal_of_a_fresh_password_ends_it(
    passwords: CommandedPasswords, command: Command
) -> None:
    door = Door("none")
    with pytest.raises(RegistryDeniedError):
        await enter(passwords, door)
    assert (door.tried, command.runs) == (["p1"], 1)


@pytest.mark.anyio
async def test_what_stays_denied_does_not_ask_again_and_again_and_hinders_no_other(
    passwords: CommandedPasswords, command: Command, clock: FakeClock
) -> None:
    await enter(passwords, Door("p1"))
    for _ in range(5):
        with pytest.raises(RegistryDeniedError):
            await enter(passwords, Door("none"), what="of others")
    assert command.runs == 2
    clock.advance(61)
    assert await enter(passwords, Door("p3"), what="ours") == "in"
    clock.advance(601)
    with pytest.raises(RegistryDeniedError):
        await enter(passwords, Door("none"), what="of others")
    assert command.runs == 4


@pytest.mark.anyio
@pytest.mark.parametrize("kept", [False, True])
async def test_many_refused_images_are_no_reason_to_run_it_for_each(
    passwords: CommandedPasswords, command: Command, clock: FakeClock, *, kept: bool
) -> None:
    if kept:
        await enter(passwords, Door("p1"))
    for round_ in (1, 2):
        for number in range(20):
            with pytest.raises(RegistryDeniedError):
                await enter(passwords, Door("none"), what=f"image{round_}-{number}")
        assert command.runs == kept + round_
        clock.advance(61)


@pytest.mark.anyio
async def test_a_password_that_dies_young_is_renewed_each_time(
    passwords: CommandedPasswords, command: Command, clock: FakeClock
) -> None:
    for number in range(1, 6):
        assert await enter(passwords, Door(f"p{number}")) == "in"
        clock.advance(2)
    assert command.runs == 5


@pytest.mark.anyio
async def test_the_same_password_again_is_not_tried_again(
    passwords: CommandedPasswords, command: Command
) -> None:
    command.fixed = "p1"
    await enter(passwords, Door("p1"))
    shut = Door("none")
    for _ in range(2):
        with pytest.raises(RegistryDeniedError):
            await enter(passwords, shut)
    assert (shut.tried, command.runs) == (["p1", "p1"], 2)


@pytest.mark.anyio
async def test_callers_at_the_same_time_share_one_run(
    passwords: CommandedPasswords, command: Command
) -> None:
    await asyncio.gather(*(enter(passwords, Door("p1"), what=str(n)) for n in range(50)))
    assert command.runs == 1
    await asyncio.gather(*(enter(passwords, Door("p2"), what=str(n)) for n in range(50)))
    assert command.runs == 2


@pytest.mark.anyio
async def test_a_failure_is_told_to_all_and_not_repeated_for_each(
    passwords: CommandedPasswords, command: Command, clock: FakeClock
) -> None:
    command.failure = "no credentials"
    for _ in range(20):
        with pytest.raises(PasswordCommandError, match="ours: no credentials"):
            await enter(passwords, Door("p1"))
    assert command.runs == 1
    clock.advance(11)
    command.failure = ""
    assert await enter(passwords, Door("p2")) == "in"


@pytest.mark.anyio
async def test_a_test_asks_at_once_after_a_failure(
    passwords: CommandedPasswords, command: Command
) -> None:
    command.failure = "no credentials"
    with pytest.raises(PasswordCommandError):
        await enter(passwords, Door("p1"))
    command.failure, command.username = "", "<token>"
    known = await passwords.renew(OURS)
    assert (known.username, known.password) == ("<token>", "p2")
    assert await enter(passwords, Door("p2")) == "in"


@pytest.mark.anyio
async def test_without_a_command_nothing_is_asked(
    passwords: CommandedPasswords, command: Command
) -> None:
    stored = replace(OURS, password_command="", password="kept")
    assert await enter(passwords, Door("kept"), stored) == "in"
    assert await enter(passwords, Door("filled"), replace(OURS, password="filled")) == "in"
    with pytest.raises(RegistryDeniedError):
        await enter(passwords, Door("p1"), None)
    assert command.runs == 0


@pytest.mark.anyio
async def test_a_changed_command_or_host_means_another_password(
    passwords: CommandedPasswords, command: Command
) -> None:
    await enter(passwords, Door("p1"))
    await enter(passwords, Door("p2"), replace(OURS, password_command="other"))
    await enter(passwords, Door("p3"), replace(OURS, url="https://other.example.com"))
    await enter(passwords, Door("p1"))
    assert command.runs == 3


@pytest.mark.anyio
async def test_other_errors_renew_nothing_and_the_old_password_is_masked(
    passwords: CommandedPasswords, command: Command
) -> None:
    async def missing(_registry: Registry | None) -> str:
        raise RegistryNotFoundError("gone")

    await enter(passwords, Door("p1"))
    with pytest.raises(RegistryNotFoundError):
        await passwords.use(OURS, missing, RegistryDeniedError, "app")
    assert command.runs == 1
    await enter(passwords, Door("p2"))
    assert command.masked == [[], ["p1"]]
