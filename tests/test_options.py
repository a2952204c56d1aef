"""Options: validated, frozen, redacted; arguments override environment and defaults."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import math
import re
import ssl
from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import SecretBytes, SecretStr

from cloudtower_async import Cloudtower
from cloudtower_async.addresses import Proxy, normalise_endpoint
from cloudtower_async.errors import InvalidSettings
from cloudtower_async.options import SessionOptions, Settings, from_environment
from tests.support import PASSWORD, TOKEN, settings, settings_of

PEM = f"-----BEGIN PRIVATE KEY-----\n{PASSWORD}\n-----END PRIVATE KEY-----\n"
CONTEXT = ssl.create_default_context()
NORMAL = re.compile(r"https?://([a-z0-9._-]+|\[[0-9a-f:.%a-z]+\])(:[1-9]\d*)?(/[^\s?#]*[^\s?#/])?")


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ("tower.example", "https://tower.example"),
        ("  tower.example\n", "https://tower.example"),
        ("Tower.Example:8443/", "https://tower.example:8443"),
        ("http://tower.example", "http://tower.example"),
        ("HTTPS://tower.example/v2/api", "https://tower.example"),
        ("tower.example/v2/api///", "https://tower.example"),
        ("localhost:80", "https://localhost:80"),
        ("192.168.36.133", "https://192.168.36.133"),
        ("https://proxy.example/tower-1/v2/api/", "https://proxy.example/tower-1"),
        ("[::1]:8443", "https://[::1]:8443"),
        ("2001:DB8::1", "https://[2001:db8::1]"),
        ("http://[2001:db8::1]/v2/api", "http://[2001:db8::1]"),
        ("münchen.example", "https://xn--mnchen-3ya.example"),
        ("tower.example.", "https://tower.example."),
    ],
)
def test_an_endpoint_is_brought_into_one_form(given_: str, expected: str) -> None:
    assert normalise_endpoint(given_) == expected
    assert settings(given_).endpoints == (expected,)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "https://",
        "ftp://tower.example",
        "root:secret@tower.example",
        "ro:secret@x://tower.example",
        "https://tower.example?x=1",
        "https://tower.example#top",
        "tower.example:0",
        "tower.example:",
        "tower.example:65536",
        "tower.example:https",
        "//tower.example",
        "tower example",
        "tower\\example",
        "to\nwer",
        "-tower.example",
        "tower..example",
        "[::1",
        "[tower]",
        "é" * 70,
        "tower.example/../x",
        "tower.example//x",
    ],
)
def test_an_invalid_endpoint_is_rejected_with_an_example(wrong: str) -> None:
    with pytest.raises(InvalidSettings, match=r"endpoint: .*expected an address such as") as info:
        normalise_endpoint(wrong)
    assert info.value.option == "endpoint"
    assert "secret" not in repr(info.value)


@pytest.mark.parametrize(
    ("wrong", "got"),
    [(None, "None"), (443, "int"), (b"https://root:secret@tower.example", "bytes")],
)
def test_an_endpoint_that_is_no_text_is_refused(wrong: object, got: str) -> None:
    with pytest.raises(
        InvalidSettings, match=f"^endpoint: expected an address .*, got {got}$"
    ) as info:
        settings_of(endpoint=wrong, token=TOKEN)
    assert info.value.option == "endpoint"


def test_several_endpoints_are_each_brought_into_one_form() -> None:
    assert settings(["A.example", "b.example/v2/api"]).endpoints == (
        "https://a.example",
        "https://b.example",
    )


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ([], "the list is empty"),
        (["a.example", "https://a.example/"], "https://a.example is given twice"),
        (["a.example", 443], "expected an address .*, got int"),
        (["a.example", "ftp://b.example"], "the scheme is 'ftp'"),
    ],
)
def test_an_invalid_list_of_endpoints_is_rejected(wrong: object, why: str) -> None:
    with pytest.raises(InvalidSettings, match=f"^endpoint: {why}") as info:
        settings_of(endpoint=wrong, token=TOKEN)
    assert info.value.option == "endpoint"


@given(st.text() | st.from_regex(r"(https?://)?[a-zA-Z0-9.\[\]:@%-]+(:[0-9]+)?(/[a-z.%/]*)?"))
@example("::ffff:1.2.3.4")
@example("fe80::1%eth0")
def test_any_endpoint_is_normalized_or_rejected(text: str) -> None:
    try:
        normal = normalise_endpoint(text)
    except InvalidSettings:
        return
    assert NORMAL.fullmatch(normal)
    assert normalise_endpoint(normal) == normal
    assert normalise_endpoint(f"{normal}/v2/api/") == normal


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({}, "username"),
        ({"username": "root"}, "password"),
        ({"password": PASSWORD}, "username"),
        ({"username": "", "password": PASSWORD}, "username"),
        ({"token": ""}, "token"),
        ({"token": "a\r\nb"}, "token"),
        ({"token": "t", "failover": "sometimes"}, "failover"),
        ({"token": "t", "source": "local"}, "source"),
        ({"token": "t", "change_feed": ("feed", "")}, "change_feed"),
        ({"token": "t", "change_feed": (PASSWORD,)}, "change_feed"),
        ({"token": "t", "change_feed": ["feed", PASSWORD]}, "change_feed"),
        ({"token": "t", "change_feed": (f"a:{PASSWORD}", PASSWORD)}, "change_feed"),
        ({"token": "t", "content_language": "de-DE"}, "content_language"),
        ({"token": "t", "mutations": "deny"}, "mutations"),
        ({"token": "t", "mutations": None}, "mutations"),
        ({"token": "t", "timeout": 0}, "timeout"),
        ({"token": "t", "timeout": float("inf")}, "timeout"),
        ({"token": "t", "timeout": None}, "timeout"),
        ({"token": "t", "connect_timeout": -1}, "connect_timeout"),
        ({"token": "t", "read_timeout": 0}, "read_timeout"),
        ({"token": "t", "lock_timeout": -1}, "lock_timeout"),
        ({"token": "t", "max_in_flight": 0}, "max_in_flight"),
        ({"token": "t", "rate_limit": 0}, "rate_limit"),
        ({"token": "t", "credentials": object()}, "token"),
        ({"username": "u", "credentials": object()}, "username"),
        ({"credentials": PASSWORD}, "credentials"),
        ({"token": "t", "verify_tls": "false"}, "verify_tls"),
        ({"token": "t", "verify_tls": None}, "verify_tls"),
        ({"token": "t", "ssl_context": True}, "ssl_context"),
        ({"token": "t", "ssl_context": CONTEXT, "verify_tls": False}, "ssl_context"),
        ({"token": "t", "ssl_context": CONTEXT, "ca_file": "ca.pem"}, "ssl_context"),
        ({"token": "t", "ssl_context": CONTEXT, "client_cert": "me.pem"}, "ssl_context"),
        ({"token": "t", "strict": 1}, "strict"),
        ({"token": "t", "max_connections": 0}, "max_connections"),
        ({"token": "t", "max_connections": 1.5}, "max_connections"),
        ({"token": "t", "headers": {"Authorization": "x"}}, "headers"),
        ({"token": "t", "headers": {"content-Language": "x"}}, "headers"),
        ({"token": "t", "headers": PASSWORD}, "headers"),
        ({"token": "t", "headers": {"a b": "x"}}, "headers"),
        ({"token": "t", "headers": {"a": "x\ny"}}, "headers"),
        ({"token": "t", "headers": {5: "x"}}, "headers"),
        ({"token": "t", "headers": {"Proxy-Authorization": PASSWORD}}, "headers"),
        ({"token": PASSWORD.encode()}, "token"),
        ({"username": 5, "password": PASSWORD}, "username"),
        ({"username": "root", "password": PASSWORD.encode()}, "password"),
        ({"token": "t", "auth_config_id": 5}, "auth_config_id"),
        ({"token": "t", "auth_config_id": ""}, "auth_config_id"),
        ({"token": "t", "timeout": True}, "timeout"),
        ({"token": "t", "lock_timeout": False}, "lock_timeout"),
        ({"token": "t", "rate_limit": True}, "rate_limit"),
        ({"token": "t", "ca_file": 5}, "ca_file"),
        ({"token": "t", "ca_file": b"ca.pem"}, "ca_file"),
        ({"token": "t", "ca_file": PEM}, "ca_file"),
        ({"token": "t", "client_cert": PEM}, "client_cert"),
        ({"token": "t", "client_cert": ("cert.pem", PEM)}, "client_cert"),
        ({"token": "t", "client_cert": ["cert.pem", "key.pem"]}, "client_cert"),
        ({"token": "t", "client_cert": ("cert.pem", "key.pem", PASSWORD)}, "client_cert"),
        ({"token": "t", "client_cert": ("cert.pem", None)}, "client_cert"),
        ({"token": "t", "trust_env": "no"}, "trust_env"),
        ({"token": "t", "proxy": 3128}, "proxy"),
        ({"token": "t", "proxy": f"ftp://root:{PASSWORD}@proxy.example"}, "proxy"),
        ({"token": "t", "proxy": f"http://root:{PASSWORD}@"}, "proxy"),
        ({"token": "t", "proxy": f"http://root:{PASSWORD}@proxy.example/path"}, "proxy"),
        ({"token": "t", "proxy": f"http://root:{PASSWORD}@proxy.example:0"}, "proxy"),
        ({"token": "t", "proxy": f"http://root:{PASSWORD}@pro xy.example"}, "proxy"),
        ({"token": "t", "proxy": f"socks5://root:{PASSWORD}@proxy.example"}, "proxy"),
    ],
)
def test_an_option_that_cannot_be_used_is_named(options: dict[str, Any], option: str) -> None:
    with pytest.raises(InvalidSettings, match=rf"^{option}: ") as info:
        settings_of(endpoint="tower.example", **options)
    assert info.value.option == option
    assert PASSWORD not in repr(info.value)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"token": b"secret"}, "token: expected a string, got bytes"),
        ({"client_cert": ["a", "b"]}, "client_cert: expected a path or a pair of paths, got list"),
        ({"client_cert": PEM}, "client_cert: expected the path of a PEM file, got what looks like"),
        ({"ca_file": 5}, "ca_file: expected a path, got int"),
        ({"session": 5}, "session: expected a ClientSession, got int"),
        ({"connector": 5}, "connector: expected a BaseConnector, got int"),
        ({"trace_configs": 5}, "trace_configs: expected a list, got int"),
        ({"trace_configs": [5]}, "trace_configs: expected a TraceConfig, got int"),
        ({"proxy": "socks5://proxy.example"}, "proxy: a SOCKS proxy is not supported"),
        ({"proxy": 5}, "proxy: expected the address of an HTTP proxy, such as .*, got int"),
    ],
)
def test_a_session_explains_an_invalid_option(options: dict[str, Any], told: str) -> None:
    options.setdefault("token", "t")
    with pytest.raises(InvalidSettings, match=f"^{told}"):
        Cloudtower("tower.example", **options)


def test_an_unknown_option_is_a_type_error_that_names_the_nearest_one() -> None:
    wrong: dict[str, Any] = {"usrname": "root"}
    told = "unexpected keyword argument 'usrname'; did you mean username?"
    with pytest.raises(TypeError, match=re.escape(told)):
        Cloudtower("tower.example", **wrong)
    with pytest.raises(TypeError, match=re.escape(told)):
        Cloudtower.from_env(endpoint="tower.example", **wrong)
    with pytest.raises(TypeError, match="unexpected keyword argument 'endpoints'"):
        Cloudtower("tower.example", token="t", endpoints=["a"])  # type: ignore[call-arg] # pyright: ignore


def documented_options() -> dict[str, str]:
    """Return the docstring of each option."""
    tree = ast.parse(inspect.getsource(SessionOptions))
    body = cast("ast.ClassDef", tree.body[0]).body
    return {
        ast.unparse(option.target): " ".join(ast.literal_eval(text.value).split())
        for option, text in itertools.pairwise(body)
        if isinstance(option, ast.AnnAssign) and isinstance(text, ast.Expr)
    }


def test_every_option_is_documented_with_its_default() -> None:
    told = documented_options()
    assert list(told) == list(SessionOptions.__annotations__)
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(Settings).parameters.items()
        if name != "endpoint"
    }
    assert {*defaults, "session", "connector", "trace_configs"} == told.keys()
    for name, default in defaults.items():
        number = isinstance(default, int | float) and not isinstance(default, bool)
        shown = (
            f"{default:,g}" if isinstance(default, float) else f"{default:,}" if number else default
        )
        assert re.search(rf"Default: `*{re.escape(str(shown))}\b", told[name]), (name, shown)


ODD: list[object] = [5, -1, 0, 1.5, math.nan, True, b"x", "", "x\ny", ["a"], {"a": 5}, (1, 2), ...]


def refusal(options: dict[str, Any]) -> InvalidSettings | None:
    try:
        Cloudtower(**options)
    except InvalidSettings as error:
        return error
    return None


@pytest.mark.parametrize("credentials", [{"token": "t0ken"}, {"username": "u", "password": "p"}])
@pytest.mark.parametrize("option", ["endpoint", *SessionOptions.__annotations__])
def test_every_invalid_option_raises_invalid_settings(
    option: str, credentials: dict[str, Any]
) -> None:
    given = {"endpoint": "tower.example", **credentials}
    errors = [error for value in ODD if (error := refusal({**given, option: value}))]
    assert len(errors) > 5
    named = {error.option for error in errors}
    assert named <= {option, "token", "username", "password"}
    assert all(str(error).startswith(f"{error.option}: ") for error in errors)


def settings_within(tower: Cloudtower) -> Settings:
    return tower._transport.settings  # pyright: ignore[reportPrivateUsage]


def test_secrets_may_be_wrapped_in_an_object_that_hides_them() -> None:
    hidden = SecretStr(PASSWORD)
    tower = Cloudtower(
        "tower.example", username="root", password=hidden, change_feed=("feed", hidden)
    )
    found = settings_within(tower)
    assert (found.password, found.change_feed) == (PASSWORD, ("feed", PASSWORD))
    assert settings_within(Cloudtower("tower.example", token=hidden)).token == PASSWORD
    by_env = Cloudtower.from_env(endpoint="tower.example", token=hidden)
    assert settings_within(by_env).token == PASSWORD
    with pytest.raises(InvalidSettings, match="token: expected a string, got bytes"):
        Cloudtower("tower.example", token=SecretBytes(b"s"))  # type: ignore[arg-type] # pyright: ignore
    with pytest.raises(InvalidSettings, match="password: missing"):
        Cloudtower("tower.example", username="root", password=SecretStr(""))


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ("proxy.example:3128", Proxy("http://proxy.example:3128")),
        ("http://proxy.example", Proxy("http://proxy.example:80")),
        ("HTTPS://Proxy.Example/", Proxy("https://proxy.example:443")),
        ("http://[::1]:3128", Proxy("http://[::1]:3128")),
        ("http://me:p%40ss@proxy.example:1", Proxy("http://proxy.example:1", "me", "p@ss")),
        ("me:a:b@proxy.example:1", Proxy("http://proxy.example:1", "me", "a:b")),
        ("http://me@proxy.example:1", Proxy("http://proxy.example:1", "me")),
        ("", None),
        (None, None),
    ],
)
def test_a_proxy_is_brought_into_one_form(given_: str | None, expected: Proxy | None) -> None:
    assert settings(proxy=given_).via == expected


def test_settings_cannot_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings().token = "x"  # type: ignore[misc]


def test_header_names_are_lower_case_so_that_none_is_sent_twice() -> None:
    assert settings(headers={"X-Trace": "1"}).headers == {"x-trace": "1"}


def test_the_repr_masks_secrets() -> None:
    headers = {"x-key": "key-of-the-tests"}
    feed = ("feed", PASSWORD)
    shown = repr(
        settings(
            username="root",
            token=TOKEN,
            headers=headers,
            change_feed=feed,
            client_cert="key-of-the-tests",
            proxy=f"http://me:{PASSWORD}@proxy.example",
        )
    )
    assert "username='root'" in shown
    assert "password='***'" in shown
    assert "token='***'" in shown
    assert "change_feed=('feed', '***')" in shown
    assert "'x-key': '***'" in shown
    assert not re.search("of-the-tests", shown)


ENVIRONMENT = {
    "CLOUDTOWER_ENDPOINT": "env.example",
    "CLOUDTOWER_USERNAME": "env-user",
    "CLOUDTOWER_PASSWORD": "env-password",
    "CLOUDTOWER_SOURCE": "LDAP",
    "CLOUDTOWER_TOKEN": "env-token",
    "CLOUDTOWER_CONTENT_LANGUAGE": "zh-CN",
    "CLOUDTOWER_MUTATIONS": "refuse",
    "CLOUDTOWER_VERIFY_TLS": "no",
    "CLOUDTOWER_CA_FILE": "/env/ca.pem",
    "CLOUDTOWER_PROXY": "http://env-proxy.example:3128",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.mark.usefixtures("environment")
def test_every_variable_is_read() -> None:
    found = settings_of(**from_environment({}))
    assert found == settings_of(
        endpoint="env.example",
        username="env-user",
        password="env-password",
        source="LDAP",
        token="env-token",
        content_language="zh-CN",
        mutations="refuse",
        verify_tls=False,
        ca_file="/env/ca.pem",
        proxy="http://env-proxy.example:3128",
    )


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("endpoint", "arg.example"),
        ("username", "arg-user"),
        ("password", "arg-password"),
        ("source", "LOCAL"),
        ("token", "arg-token"),
        ("content_language", "*"),
        ("mutations", "allow"),
        ("verify_tls", True),
        ("ca_file", "/arg/ca.pem"),
        ("proxy", "http://arg-proxy.example"),
        ("proxy", ""),
    ],
)
def test_an_argument_wins_over_its_variable(option: str, value: object) -> None:
    assert from_environment({option: value})[option] == value


def test_the_environment_may_hold_the_addresses_of_a_pair(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("CLOUDTOWER_ENDPOINT", "a.example, b.example")
    found = settings_of(**from_environment({}))
    assert found.endpoints == ("https://a.example", "https://b.example")


@pytest.mark.usefixtures("environment")
def test_none_counts_as_not_given() -> None:
    assert from_environment({"endpoint": None})["endpoint"] == "env.example"


@pytest.mark.usefixtures("environment")
def test_a_credentials_function_overrides_credentials_of_the_environment() -> None:
    found = from_environment({"credentials": print})
    assert not {"username", "password", "token"} & found.keys()


@pytest.mark.usefixtures("environment")
def test_a_context_wins_over_the_tls_options_of_the_environment() -> None:
    found = settings_of(**from_environment({"ssl_context": CONTEXT}))
    assert (found.ssl_context, found.ca_file, found.verify_tls) == (CONTEXT, None, True)


@pytest.mark.usefixtures("environment")
def test_a_token_of_the_environment_does_not_win_over_a_given_user() -> None:
    assert "token" not in from_environment({"username": "root", "password": PASSWORD})


def test_an_empty_variable_counts_as_unset(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("CLOUDTOWER_TOKEN", "")
    assert "token" not in from_environment({})


@pytest.mark.parametrize(
    ("text", "meant"), [("1", True), ("YES", True), ("Off", False), ("0", False)]
)
def test_verify_tls_reads_the_usual_words(
    environment: pytest.MonkeyPatch, text: str, meant: bool
) -> None:
    environment.setenv("CLOUDTOWER_VERIFY_TLS", text)
    assert from_environment({})["verify_tls"] is meant


@pytest.mark.parametrize("name", ["VERIFY_TLS", "SOURCE", "CONTENT_LANGUAGE", "MUTATIONS"])
def test_a_variable_that_cannot_be_used_is_named(
    environment: pytest.MonkeyPatch, name: str
) -> None:
    environment.setenv(f"CLOUDTOWER_{name}", "perhaps")
    with pytest.raises(InvalidSettings, match=f"CLOUDTOWER_{name}: expected .*'perhaps'"):
        from_environment({})


def test_a_missing_endpoint_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLOUDTOWER_ENDPOINT", raising=False)
    with pytest.raises(InvalidSettings, match="CLOUDTOWER_ENDPOINT"):
        from_environment({"token": "t"})


@pytest.mark.parametrize("given_", [{}, {"username": "root"}])
def test_missing_credentials_name_their_variables(
    environment: pytest.MonkeyPatch, given_: dict[str, object]
) -> None:
    variables = ("CLOUDTOWER_USERNAME", "CLOUDTOWER_PASSWORD", "CLOUDTOWER_TOKEN")
    for name in variables:
        environment.delenv(name)
    with pytest.raises(InvalidSettings) as info:
        settings_of(**from_environment(given_))
    assert all(name in str(info.value) for name in variables)
