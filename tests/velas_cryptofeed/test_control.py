"""What a frame means that is no event of a stream."""

from __future__ import annotations

import pytest

from velas_cryptofeed._control import judge


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        ('{"result":null,"id":1}', "nothing"),
        ('{"lastUpdateId":1,"bids":[],"asks":[]}', "nothing"),
        ('{"error":{"code":2,"msg":"Invalid request"}}', "bad"),
        ('{"id":1,"result":null,"error":{"code":2}}', "bad"),
        ('{"e":"serverShutdown","E":1}', "shutdown"),
        ('{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}', "shutdown"),
        ('{"stream":"!serverShutdown","data":null}', "shutdown"),
        ('{ "stream": "btcusdt@aggTrade", "data": {} }', "data"),
        ('{"data":{},"stream":"btcusdt@aggTrade"}', "data"),
        ('{"stream":"btcusdt@aggTrade"}', "bad"),
        ('{"code":0,"msg":"Unknown property"}', "bad"),
        ("[1,2,3]", "bad"),
        ("null", "bad"),
        ("", "bad"),
        (b"\xff\xfe", "bad"),
        ('{"stream":"btc', "bad"),
    ],
)
def test_judge_frame_is_told_apart(frame: str | bytes, kind: str) -> None:
    assert judge(frame).kind == kind


def test_judge_long_garbage_is_cut_in_the_reason() -> None:
    assert len(judge("x" * 10_000).reason) < 250
