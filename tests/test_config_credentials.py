"""Credentials: whose they are, where they come from, and when they are needed."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from configured import SECRET, Write, private_writer, refusal, revealed, writer

from velas import credentials as module
from velas.config import Credentials, Secret, Settings, Trading, describe, load_settings
from velas.credentials import credential_variables, credentials_venue, require_credentials
from velas.errors import ConfigError

BINANCE = {"BINANCE_API_KEY": "b-key", "BINANCE_API_SECRET": "b-secret"}
KRAKEN = {
    "KRAKEN_API_KEY": "k-key",
    "KRAKEN_API_SECRET": "k-secret",
    "KRAKEN_API_PASSWORD": "k pass",
}
BOTH = BINANCE | KRAKEN


@pytest.fixture
def write(tmp_path: Path) -> Write:
    return writer(tmp_path)


@pytest.fixture
def private(tmp_path: Path) -> Write:
    return private_writer(tmp_path)


# --- whose they are


@pytest.mark.parametrize(
    ("exchange", "venue"),
    [
        ("binance_spot", "BINANCE"),
        ("binance_futures", "BINANCE"),
        ("binance", "BINANCE"),
        ("kraken", "KRAKEN"),
        ("bybit_derivatives", "BYBIT"),
        ("krakenfutures", "KRAKENFUTURES"),
        ("my-own_venue", "MY_OWN_VENUE"),
        ("derivatives", "DERIVATIVES"),
        ("replay", None),
    ],
)
def test_credentials_venue_is_the_name_without_the_kind(exchange: str, venue: str | None) -> None:
    assert credentials_venue(exchange) == venue
    names = credential_variables(exchange).values()
    assert list(names) == (
        [f"{venue}_API_KEY", f"{venue}_API_SECRET", f"{venue}_API_PASSWORD"] if venue else []
    )


@pytest.mark.parametrize(
    ("exchange", "held"),
    [
        ("binance_spot", ("b-key", "b-secret", None)),
        ("binance_futures", ("b-key", "b-secret", None)),
        ("kraken", ("k-key", "k-secret", "k pass")),
        ("kraken_derivatives", ("k-key", "k-secret", "k pass")),
        ("krakenfutures", (None, None, None)),
        ("bybit", (None, None, None)),
        ("replay", (None, None, None)),
    ],
)
def test_load_settings_takes_the_keys_of_the_exchange_only(
    private: Write, exchange: str, held: tuple[str | None, ...]
) -> None:
    assert revealed(load_settings(environ=BOTH, exchange=exchange)) == held
    path = private("".join(f"{name}={value!r}\n" for name, value in BOTH.items()))
    trading = {"credentials_file": path}
    assert revealed(load_settings(environ={}, exchange=exchange, trading=trading)) == held


@pytest.mark.parametrize(
    ("text", "environ", "more"),
    [
        ("exchange: kraken", {}, {}),
        ("exchange: bybit", {"EXCHANGE": "kraken"}, {}),
        ("exchange: bybit", {"EXCHANGE": "okx"}, {"exchange": "kraken"}),
    ],
)
def test_load_settings_the_exchange_of_the_last_layer_decides(
    write: Write, text: str, environ: dict[str, str], more: dict[str, object]
) -> None:
    settings = load_settings(write(text), environ=BOTH | environ, **more)
    assert revealed(settings) == ("k-key", "k-secret", "k pass")
    assert settings.credentials.venue == "KRAKEN"


def test_load_settings_replay_looks_at_no_key_and_no_file() -> None:
    environ = {"VELAS_CREDENTIALS": "/nowhere", "BINANCE_API_KEY": "not usable"}
    settings = load_settings(environ=environ, exchange="replay", api_key="k")
    assert settings.credentials == Credentials()


def test_load_settings_unusable_key_of_another_venue_is_not_looked_at() -> None:
    assert load_settings(environ={"KRAKEN_API_KEY": "not usable"}) == Settings()


def test_evolve_to_another_venue_leaves_no_key() -> None:
    binance = load_settings(environ=BOTH)
    kraken = attrs.evolve(binance, exchange="kraken")
    assert kraken.credentials == Credentials(venue="KRAKEN")
    assert attrs.evolve(kraken, exchange="binance_spot").credentials.api_key is None
    assert attrs.evolve(binance, exchange="replay").credentials == Credentials()
    assert describe(kraken)["credentials.api_key"] == {"value": "not set", "source": "default"}


def test_evolve_within_the_account_keeps_the_keys() -> None:
    settings = attrs.evolve(load_settings(environ=BOTH), exchange="binance_futures")
    assert revealed(settings) == ("b-key", "b-secret", None)


def test_settings_made_by_hand_bind_the_keys_to_their_exchange() -> None:
    keys = Credentials(api_key="k", api_secret=Secret("s"))
    settings = Settings(exchange="kraken", credentials=keys)
    assert revealed(settings) == ("k", "s", None)
    assert settings.credentials.venue == "KRAKEN"
    assert revealed(Settings(credentials=settings.credentials)) == (None, None, None)
    assert describe(settings)["credentials.api_key"]["source"] == "argument"


# --- the layers of a key


def test_load_settings_each_key_is_of_the_highest_layer_that_has_it(private: Write) -> None:
    path = private("KRAKEN_API_KEY=file\nKRAKEN_API_SECRET=file\nKRAKEN_API_PASSWORD=file\n")
    environ = {"VELAS_CREDENTIALS": str(path), "KRAKEN_API_KEY": "env", "KRAKEN_API_SECRET": "env"}
    settings = load_settings(environ=environ, exchange="kraken", api_key="argument")
    assert revealed(settings) == ("argument", "env", "file")
    shown = describe(settings)
    assert [shown[f"credentials.{name}"]["source"] for name in module._SUFFIXES] == [
        "argument",
        "environment KRAKEN_API_SECRET",
        f"file {path}",
    ]


def test_load_settings_empty_variable_leaves_the_files_key(private: Write) -> None:
    path = private("BINANCE_API_KEY=file\nBINANCE_API_SECRET=\n")
    environ = {"VELAS_CREDENTIALS": str(path), "BINANCE_API_KEY": " "}
    assert revealed(load_settings(environ=environ)) == ("file", None, None)


def test_load_settings_variable_goes_over_the_files_key_of_where(
    write: Write, private: Write
) -> None:
    private("BINANCE_API_KEY=one", name="one.env")
    two = private("BINANCE_API_KEY=two", name="two.env")
    path = write(f"trading: {{credentials_file: {two.with_name('one.env')}}}")
    assert revealed(load_settings(path, environ={}))[0] == "one"
    settings = load_settings(path, environ={"VELAS_CREDENTIALS": str(two)})
    assert revealed(settings)[0] == "two"
    assert settings.sources["trading.credentials_file"] == "environment VELAS_CREDENTIALS"


def test_load_settings_credentials_file_may_be_in_the_home(
    private: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = private("BINANCE_API_KEY=k")
    monkeypatch.setenv("HOME", str(path.parent))
    settings = load_settings(environ={"VELAS_CREDENTIALS": "~/keys.env"})
    assert revealed(settings)[0] == "k"
    assert settings.trading.credentials_file == path


# --- enough to trade with

LACKING = [
    ({}, "KRAKEN_API_KEY and KRAKEN_API_SECRET, and neither is set"),
    ({"KRAKEN_API_KEY": SECRET}, "and KRAKEN_API_SECRET is not set"),
    ({"KRAKEN_API_SECRET": SECRET}, "and KRAKEN_API_KEY is not set"),
    ({"KRAKEN_API_PASSWORD": SECRET}, "KRAKEN_API_KEY and KRAKEN_API_SECRET, and neither is set"),
    (BINANCE, "KRAKEN_API_KEY and KRAKEN_API_SECRET, and neither is set"),
]


@pytest.mark.parametrize("mode", ["test", "live"])
@pytest.mark.parametrize(("environ", "said"), LACKING)
def test_load_settings_trading_without_a_whole_pair_is_one_error(
    write: Write, mode: str, environ: dict[str, str], said: str
) -> None:
    path = write(f"exchange: kraken\ntrading: {{mode: {mode}}}")
    message = refusal(path, environ)
    assert message.startswith(f"configuration: '{mode}': trading on kraken needs KRAKEN_API_KEY ")
    assert said in message
    assert "trading.credentials_file or VELAS_CREDENTIALS names" in message
    assert message.endswith(f"@ $.trading.mode (file {path})")
    assert SECRET not in message


@pytest.mark.parametrize("environ", [environ for environ, _ in LACKING])
def test_load_settings_public_data_needs_no_pair(environ: dict[str, str]) -> None:
    settings = load_settings(environ=environ, exchange="kraken")
    with pytest.raises(ConfigError, match="trading on kraken needs KRAKEN_API_KEY and"):
        require_credentials(settings)


def test_load_settings_trading_without_a_pair_names_the_file_in_use(private: Write) -> None:
    path = private("BINANCE_API_KEY=k")
    message = refusal(trading={"mode": "live", "credentials_file": path})
    assert "and BINANCE_API_SECRET is not set, in the environment or in the private file" in message
    assert f"names, now '{path}'" in message


def test_load_settings_unusable_key_is_not_also_lacking() -> None:
    message = refusal(None, BINANCE | {"BINANCE_API_KEY": "a b"}, trading={"mode": "live"})
    assert message.startswith("configuration: expected a key")
    assert "is not set" not in message


@pytest.mark.parametrize("mode", ["test", "live"])
def test_load_settings_trading_with_a_pair_of_two_layers_is_loaded(
    private: Write, mode: str
) -> None:
    path = private("BINANCE_API_SECRET=s")
    environ = {"BINANCE_API_KEY": "k"}
    settings = load_settings(environ=environ, trading={"mode": mode, "credentials_file": path})
    assert require_credentials(settings) is settings.credentials
    assert revealed(settings) == ("k", "s", None)


def test_load_settings_replay_needs_no_pair_whatever_the_mode() -> None:
    settings = load_settings(environ={}, exchange="replay", trading={"mode": "live"})
    with pytest.raises(ConfigError, match="'replay' has no account"):
        require_credentials(settings)


def test_require_credentials_after_a_change_of_venue_refuses() -> None:
    settings = load_settings(environ=BOTH, trading=Trading(mode="live"))
    require_credentials(settings)
    with pytest.raises(
        ConfigError, match="KRAKEN_API_KEY and KRAKEN_API_SECRET, and neither is set"
    ):
        require_credentials(attrs.evolve(settings, exchange="kraken"))
