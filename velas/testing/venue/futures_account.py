"""USDT-M's signed endpoints for the account: balances, positions, the account document."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from velas.testing.venue.engine import Engine, Trader
from velas.testing.venue.exact import text
from velas.testing.venue.funds import FuturesFunds, Position
from velas.testing.venue.order_routes import Route, Routes, no_hiding

__all__ = ["FuturesAccount"]

Params = Mapping[str, str]
Document = dict[str, Any]  # JSON of the venue's own shape

_NEVER_LIQUIDATED = "0"
_ZERO = Fraction(0)


class FuturesAccount:
    """Handlers for what a USDT-M account has; older versions list symbols without position."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def routes(self) -> Routes:
        """Return what is served by method and path."""
        return {
            ("GET", "/fapi/v2/balance"): Route(no_hiding(self._balance)),
            ("GET", "/fapi/v3/balance"): Route(no_hiding(self._balance)),
            ("GET", "/fapi/v2/account"): Route(no_hiding(self._account)),
            ("GET", "/fapi/v3/account"): Route(no_hiding(self._account)),
            ("GET", "/fapi/v2/positionRisk"): Route(no_hiding(self._all_positions)),
            ("GET", "/fapi/v3/positionRisk"): Route(no_hiding(self._open_positions)),
            ("GET", "/fapi/v1/leverageBracket"): Route(no_hiding(self._brackets)),
        }

    def _balance(self, trader: Trader, query: Params, now_ms: int) -> Any:
        funds, marks = self._funds(trader, now_ms)
        rows = []
        for asset in funds.free:
            available = text(max(_ZERO, funds.available(asset, marks)), 8)
            rows.append(
                {
                    "accountAlias": "stand-in",
                    "asset": asset,
                    "balance": text(funds.wallet(asset), 8),
                    "crossWalletBalance": text(funds.wallet(asset), 8),
                    "crossUnPnl": text(funds.unrealised(asset, marks), 8),
                    "availableBalance": available,
                    "maxWithdrawAmount": available,
                    "marginAvailable": True,
                    "updateTime": now_ms,
                }
            )
        return rows

    def _account(self, trader: Trader, query: Params, now_ms: int) -> Any:
        funds, marks = self._funds(trader, now_ms)
        assets = [self._asset(funds, asset, marks, now_ms) for asset in funds.free]
        totals = next((one for one in assets if one["asset"] == "USDT"), {})
        names = (
            "initialMargin", "maintMargin", "walletBalance", "unrealizedProfit", "marginBalance",
            "positionInitialMargin", "openOrderInitialMargin", "crossWalletBalance", "crossUnPnl",
        )  # fmt: skip
        document: Document = {
            "feeTier": 0,
            "canTrade": True,
            "canDeposit": True,
            "canWithdraw": True,
            "multiAssetsMargin": False,
            "updateTime": 0,
            **{
                f"total{name[0].upper()}{name[1:]}": totals.get(name, text(_ZERO, 8))
                for name in names
            },
            "availableBalance": totals.get("availableBalance", text(_ZERO, 8)),
            "maxWithdrawAmount": totals.get("maxWithdrawAmount", text(_ZERO, 8)),
            "assets": assets,
            "positions": [
                self._position(funds, symbol, one, now_ms)
                for symbol, one in funds.positions.items()
                if one.amount
            ],
        }
        return document

    def _asset(
        self, funds: FuturesFunds, asset: str, marks: Callable[[str], Fraction], now_ms: int
    ) -> Document:
        wallet, profit = funds.wallet(asset), funds.unrealised(asset, marks)
        position, orders = funds.margin(asset, marks), funds.locked.get(asset, _ZERO)
        available = text(max(_ZERO, funds.available(asset, marks)), 8)
        return {
            "asset": asset,
            "walletBalance": text(wallet, 8),
            "unrealizedProfit": text(profit, 8),
            "marginBalance": text(wallet + profit, 8),
            "maintMargin": text(position / 2, 8),
            "initialMargin": text(position + orders, 8),
            "positionInitialMargin": text(position, 8),
            "openOrderInitialMargin": text(orders, 8),
            "crossWalletBalance": text(wallet, 8),
            "crossUnPnl": text(profit, 8),
            "availableBalance": available,
            "maxWithdrawAmount": available,
            "marginAvailable": True,
            "updateTime": now_ms,
        }

    def _all_positions(self, trader: Trader, query: Params, now_ms: int) -> Any:
        funds, _ = self._funds(trader, now_ms)
        listed = self._engine.listing.instruments
        symbols = (
            [self._engine.instrument(query["symbol"]).symbol] if query.get("symbol") else listed
        )
        return [self._position(funds, symbol, funds.position(symbol), now_ms) for symbol in symbols]

    def _open_positions(self, trader: Trader, query: Params, now_ms: int) -> Any:
        asked = query.get("symbol")
        if asked:
            self._engine.instrument(asked)
        funds, _ = self._funds(trader, now_ms)
        return [
            self._position(funds, symbol, one, now_ms)
            for symbol, one in funds.positions.items()
            if one.amount and (not asked or symbol == asked)
        ]

    def _brackets(self, trader: Trader, query: Params, now_ms: int) -> Any:
        funds, _ = self._funds(trader, now_ms)
        bracket = {
            "bracket": 1,
            "initialLeverage": funds.leverage,
            "notionalCap": 1_000_000_000,
            "notionalFloor": 0,
            "maintMarginRatio": 0.5 / funds.leverage,
            "cum": 0.0,
        }
        return [
            {"symbol": symbol, "brackets": [bracket]}
            for symbol in self._engine.listing.instruments
            if query.get("symbol") in (None, symbol)
        ]

    def _position(self, funds: FuturesFunds, symbol: str, one: Position, now_ms: int) -> Document:
        instrument = self._engine.instrument(symbol)
        mark = self._engine.mark(symbol, now_ms)
        notional = one.amount * mark
        margin = text(abs(notional) / funds.leverage, 8)
        return {
            "symbol": symbol,
            "positionSide": "BOTH",
            "positionAmt": text(one.amount, instrument.quantity_wire),
            "entryPrice": text(one.entry, 8),
            "breakEvenPrice": text(one.entry, 8),
            "markPrice": text(mark, 8),
            "unRealizedProfit": text(one.amount * (mark - one.entry), 8),
            "unrealizedProfit": text(one.amount * (mark - one.entry), 8),
            "liquidationPrice": _NEVER_LIQUIDATED,
            "leverage": str(funds.leverage),
            "marginType": "cross",
            "isolatedMargin": text(_ZERO, 8),
            "isAutoAddMargin": "false",
            "notional": text(notional, 8),
            "isolatedWallet": "0",
            "marginAsset": instrument.quote,
            "initialMargin": margin,
            "positionInitialMargin": margin,
            "openOrderInitialMargin": text(_ZERO, 8),
            "maintMargin": text(abs(notional) / funds.leverage / 2, 8),
            "adl": 0,
            "bidNotional": "0",
            "askNotional": "0",
            "updateTime": one.updated_ms,
        }

    def _funds(self, trader: Trader, now_ms: int) -> tuple[FuturesFunds, Callable[[str], Fraction]]:
        funds = trader.funds
        assert isinstance(funds, FuturesFunds)
        return funds, lambda symbol: self._engine.mark(symbol, now_ms)
