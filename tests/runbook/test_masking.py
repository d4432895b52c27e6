"""Secrets are in nothing that is shown or written down, however they come."""

from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as st

from mainstay.adapters.memory import MemoryActuator
from mainstay.kernel.actuation import Ending, Http, Outcome
from mainstay.kernel.journal import FactQuery
from mainstay.runbook.masking import MASK, Mask
from runbook.books import run, world

_SECRETS = st.lists(st.text("abcd", min_size=4, max_size=8), min_size=1, max_size=3)


@given(_SECRETS, st.text("abcdx\n", max_size=60), st.lists(st.integers(0, 60), max_size=8))
def test_no_secret_is_shown_in_whatever_pieces_it_comes(secrets: list[str], text: str, cuts: list[int]):
    mask, shown, before = Mask(secrets), "", 0
    for cut in [*sorted(cuts), len(text)]:
        shown += mask.take(text[before:max(cut, before)])
        before = max(cut, before)
    shown += mask.rest()
    assert shown == Mask(secrets).whole(text)
    for secret in secrets:
        assert secret not in shown.replace("\n", "")


@given(_SECRETS, st.text("xyz", max_size=40))
def test_what_holds_no_secret_is_shown_whole(secrets: list[str], text: str):
    mask = Mask(secrets)
    assert mask.take(text) + mask.rest() == text


def test_a_secret_in_two_pieces_is_masked():
    mask = Mask(["s3cr3t-token"])
    assert mask.take("token: s3cr3t-") + mask.take("token\n") + mask.rest() == f"token: {MASK}\n"


def test_a_secret_in_other_writings_is_masked():
    mask = Mask(['a/b"c d'])
    for text in ("a%2Fb%22c%20d", "a%2Fb%22c+d", 'a/b\\"c d', "YS9iImMgZA=="):
        assert mask.whole(f"x {text} y") == f"x {MASK} y"


def test_a_secret_over_several_lines_is_masked_as_base64_and_openssl_break_it():
    secret = "".join(chr(97 + place * 7 % 26) for place in range(150))
    coded = base64.encodebytes(secret.encode()).decode()
    assert coded.count("\n") > 2
    for text in (coded, coded.replace("\n", "\r\n"), f"{secret[:76]}\n{secret[76:]}\n"):
        mask = Mask([secret])
        shown = "".join(mask.take(sign) for sign in f"key:\n{text}done\n") + mask.rest()
        assert shown.startswith(f"key:\n{MASK}")
        assert shown.endswith("done\n")
        assert len(shown) < 20


def test_each_line_of_a_secret_is_masked_also_where_it_is_indented():
    mask = Mask(["-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\n"])
    assert mask.whole("  MIIEvQIBADANBgkq\n  hkiG9w0BAQEFAASC\n") == f"  {MASK}\n  {MASK}\n"


@given(st.binary(max_size=7), st.binary(max_size=7))
def test_a_secret_within_the_base64_of_something_longer_is_masked(before: bytes, after: bytes):
    """`curl -v` prints `Authorization: Basic` with user and secret together."""
    secret = "s3cr3t-t0ken-abcdef"
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        shown = Mask([secret]).whole(encode(before + secret.encode() + after).decode())
        assert MASK in shown
        # Two bytes of a secret share signs with their neighbours; no more than those are left.
        assert len(shown.replace(MASK, "")) <= len(base64.b64encode(before + after)) + 8


def test_a_secret_in_json_that_keeps_its_letters_is_masked():
    assert Mask(['pä"ss/wörd']).whole('{"p": "pä\\"ss/wörd"}') == f'{{"p": "{MASK}"}}'


def test_a_runs_secret_is_in_no_fact():
    secret = "s3cr3t-t0ken"

    def says_it(act: object) -> Outcome:
        assert isinstance(act, Http)
        assert act.headers == {"Authorization": f"Bearer {secret}"}
        return Outcome(Ending.FAILED, f"you sent {secret}", error=f"refused {secret}")

    made = world("  secrets: [{name: token, env: TOKEN}]\n  steps:\n"
                 "    - {name: a, http: {url: 'https://lb.example/x', method: POST,"
                 " headers: {Authorization: 'Bearer ${secrets.token}'}}}\n",
                 MemoryActuator(says_it, {"TOKEN": secret}))  # type: ignore[arg-type]
    one = run(made)
    assert one.steps["a"].error == f"refused {MASK}"
    assert one.steps["a"].log == f"you sent {MASK}"
    for fact in made.journal.facts(FactQuery()):
        assert secret not in str(fact)
    assert "Bearer ${secrets.token}" in str(next(made.journal.facts(FactQuery(kinds=("runbook.step-started",)))).data)


def test_a_secret_that_is_not_there_fails_the_step_before_it_is_done():
    made = world("  secrets: [{name: token, env: TOKEN}]\n  steps:\n"
                 "    - {name: a, http: {url: 'https://lb.example/x', headers: {A: '${secrets.token}'}}}\n")
    one = run(made)
    assert "holds no secret" in one.steps["a"].error
    assert made.actuator().done == []  # type: ignore[attr-defined]
