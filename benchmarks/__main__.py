"""All benchmarks with one command: `python -m benchmarks`."""

from __future__ import annotations

from benchmarks import backtrader, download, live, orders, store

__all__ = ["main"]


def main() -> None:
    """Run every benchmark; figures of one run compare, those of two do not."""
    print("download, no rate limit\n")
    download.main(["--cases", "bare", "ccxt-20", "velas"])
    print("\ndownload, 50 ms latency\n")
    download.main(["--latency", "0.05", "--cases", "bare", "ccxt-20", "velas"])
    print("\ndownload, weight limit of 240 in 10 s enforced\n")
    download.main(["--budget"])
    print("\nstore\n")
    store.main([])
    print("\norders\n")
    orders.main([])
    print("\nlive")
    live.main([])
    print("\nbacktrader\n")
    backtrader.main([])


if __name__ == "__main__":
    main()
