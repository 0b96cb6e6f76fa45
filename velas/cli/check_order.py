"""`velas check-order`: judge an order by its market's own rules; nothing is placed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import click

from velas.cli.exits import DONE, FAILED, say
from velas.cli.numbers import WholeNumber, exact_above_zero, exact_number
from velas.cli.options import Common, velas_command
from velas.cli.output import emit_json
from velas.cli.session import settings_of
from velas.errors import BadRequest, OrderInvalid, UnknownSymbol, Unsupported

if TYPE_CHECKING:
    from velas.cli.order_report import Judgement, Source
    from velas.order_models import OrderRequest
    from velas.protocols import Exchange
    from velas.settings import Settings
    from velas.validation import MarketState, OrderValidator

__all__ = ["command"]

F = TypeVar("F", bound=Callable[..., object])
_NUMBERS = (
    ("--quantity", "In base asset, contracts on derivatives."),
    ("--price", "The limit."),
    ("--stop-price", "The trigger."),
    ("--quote-quantity", "What a market order spends or gets, in quote asset."),
    ("--iceberg-quantity", "The visible part."),
    ("--callback-rate", "Distance of a trailing stop on Futures, percent."),
)
_ANY = Decimal(10**20)  # times the asked one
_NO_QUANTITY = "--quantity is needed, unless --quote-quantity or --close-position is given"


def _order_options(function: F) -> F:
    """Add the options that make up an `OrderRequest`, by the names of its fields."""
    options = (
        click.option(
            "--side", required=True, type=click.Choice(["buy", "sell"], case_sensitive=False)
        ),
        click.option(
            "--type",
            required=True,
            metavar="T",
            help="The venue's word: limit, market, limit_maker, stop_loss_limit ... on Spot, "
            "limit, market, stop_market ... on Futures.",
        ),
        *(
            click.option(name, callback=exact_number, metavar="N", help=text)
            for name, text in _NUMBERS
        ),
        click.option(
            "--trailing-delta",
            type=WholeNumber(),
            metavar="N",
            help="Distance of a trailing stop on Spot, basis points.",
        ),
        click.option("--time-in-force", metavar="W", help="GTC, IOC, FOK; on Futures also GTX."),
        click.option("--reduce-only", is_flag=True, help="Only makes a position smaller."),
        click.option("--close-position", is_flag=True, help="Closes all of a position."),
        click.option(
            "--position-side",
            type=click.Choice(["both", "long", "short"], case_sensitive=False),
            help="In Futures' hedge mode.",
        ),
        click.option("--client-id", metavar="ID", help="The id the venue shall know it by."),
    )
    for option in reversed(options):
        function = option(function)
    return function


@velas_command("check-order")
@click.argument("symbol")
@_order_options
@click.option(
    "--reference-price",
    callback=exact_above_zero,
    metavar="N",
    help="Spot's reference price and Futures' mark price; asked of the venue if left out.",
)
def command(common: Common, symbol: str, reference_price: Decimal | None, **fields: Any) -> int:
    """Judge an order by its market's own rules; nothing is placed, and no key is needed.

    Shows every rule that applies, and the nearest legal order: of no worse price and no
    larger quantity. Exit code 0 if the order is legal, 1 if it is refused.
    """
    from velas.cli.order_report import judgement_document, show_judgement

    request = _request(symbol, fields)
    found = asyncio.run(_judge(settings_of(common), request, reference_price))
    if common.as_json:
        emit_json(judgement_document(found))
    else:
        show_judgement(found)
    return DONE if found.verdict.ok else FAILED


def _request(symbol: str, fields: dict[str, Any]) -> OrderRequest:
    from velas.order_models import OrderRequest

    if fields["quantity"] is None and not (
        fields["quote_quantity"] is not None or fields["close_position"]
    ):
        raise click.UsageError(_NO_QUANTITY, click.get_current_context())
    return OrderRequest(symbol, **fields)


async def _judge(
    settings: Settings, request: OrderRequest, reference_price: Decimal | None
) -> Judgement:
    from velas.registry import open_exchange, open_ledger
    from velas.validation import MarketState, OrderValidator

    with open_ledger(settings) as ledger:
        async with open_exchange(settings, ledger=ledger) as exchange:
            market = await exchange.market(request.symbol)
            source: Source = "option"
            state: MarketState | None = MarketState(reference_price, reference_price)
            if reference_price is None:
                state = await _asked(exchange, market.symbol)
                source = None if state is None else "venue"
    request = attrs.evolve(request, symbol=market.symbol)
    rules = OrderValidator.from_market(market)
    return _judged(settings.exchange, rules, request, state or MarketState(), source)


async def _asked(exchange: Exchange, symbol: str) -> MarketState | None:
    """Ask for the prices that rules refer to; None where they cannot be had."""
    try:
        return await exchange.market_state(symbol)
    # it does not trade, or the market does not and has none
    except (Unsupported, BadRequest, UnknownSymbol) as error:
        why = str(error)
    say(
        f"velas: {exchange.name} gives no prices that rules refer to ({why}); "
        "--reference-price gives one"
    )
    return None


def _judged(
    exchange: str,
    rules: OrderValidator,
    request: OrderRequest,
    state: MarketState,
    source: Source,
) -> Judgement:
    from velas.cli.order_report import Judgement

    nearest: OrderRequest | None = None
    beyond: OrderRequest | None = None
    why_none: str | None = None
    try:
        nearest = rules.normalize(request, reference=state)
    except OrderInvalid as error:
        why_none = str(error)
        beyond = _at_any_cost(rules, request, state)
    return Judgement(
        exchange=exchange,
        order=request,
        state=state,
        source=source,
        rules=rules.explain(request, reference=state),
        verdict=rules.check(request, reference=state),
        nearest=nearest,
        beyond=beyond,
        why_none=why_none,
    )


def _at_any_cost(
    rules: OrderValidator, request: OrderRequest, state: MarketState
) -> OrderRequest | None:
    from velas.validation import Policy

    try:
        return rules.normalize(
            request, reference=state, policy=Policy(larger_quantity=_ANY, worse_price=_ANY)
        )
    except OrderInvalid:
        return None
