"""Passwords are hashed by OWASP's parameters, two at once."""

import asyncio
import threading
import time

import pytest
from argon2 import PasswordHasher, extract_parameters

from tagboat.core.errors import TooManyAttemptsError
from tagboat.operations import passwords as module
from tagboat.operations.passwords import AT_ONCE, MOST_IN_LINE, Passwords

pytestmark = pytest.mark.anyio


async def test_a_hash_is_argon2id_with_a_salt_of_its_own() -> None:
    passwords = Passwords()
    one, two = await passwords.hash("correct horse"), await passwords.hash("correct horse")
    assert one != two
    assert one.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await passwords.verify("correct horse", one)
    assert not await passwords.verify("correct horsf", one)
    assert await passwords.renewed("correct horse", one) == one


async def test_the_same_letters_in_another_form_are_the_same_password() -> None:
    passwords = Passwords()
    assert await passwords.verify("Zoe\u0308 1234567", await passwords.hash("Zoë 1234567"))


@pytest.mark.parametrize("password", ["", "\ud800", "x" * 5000, "\0"])
async def test_odd_passwords_are_wrong_and_no_fault(password: str) -> None:
    passwords = Passwords()
    assert not await passwords.verify(password, await passwords.hash("correct horse"))
    assert not await passwords.verify(password, None)
    assert not await passwords.verify(password, "not a hash")


async def test_nobodys_password_takes_the_same_work_as_anybodys() -> None:
    passwords = Passwords()
    kept = extract_parameters(await passwords.hash("correct horse"))
    assert extract_parameters(module._NOBODYS) == kept
    assert not await passwords.verify("correct horse", None)


async def test_a_hash_of_older_parameters_still_fits_and_is_renewed() -> None:
    passwords = Passwords()
    old = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash("correct horse")
    assert await passwords.verify("correct horse", old)
    renewed = await passwords.renewed("correct horse", old)
    assert renewed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await passwords.verify("correct horse", renewed)


async def test_two_at_once_and_a_line_that_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords, lock, running, most = Passwords(), threading.Lock(), 0, 0

    def slow(*_: object) -> bool:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.005)
        with lock:
            running -= 1
        return False

    monkeypatch.setattr(module, "_is_right", slow)
    tasks = [asyncio.create_task(passwords.verify("x", None)) for _ in range(MOST_IN_LINE + 5)]
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert most == AT_ONCE
    refused = [one for one in done if isinstance(one, TooManyAttemptsError)]
    assert len(refused) == 5
    assert refused[0].wait_s > 0
    assert not await passwords.verify("x", None)
