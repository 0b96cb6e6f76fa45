"""Charts of candles as files: price, volume, what is missing, marks. Needs `velas[plot]`."""

from velas.charts.chart import SUFFIXES, Mark, check_installed, save_chart

__all__ = ["SUFFIXES", "Mark", "check_installed", "save_chart"]
