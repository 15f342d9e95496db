"""Every fold record under result/ -> result_log.csv, summary.csv, confusion matrices, a page."""

from pathlib import Path
from typing import Annotated

from tyro.conf import FlagCreatePairsOff

from common.cli import run_script
from common.errors import UserError
from loso.groups import print_groups, summarise_groups
from loso.results import collect, first_seed, summarise, write_tables
from loso.terminal import print_summary
from loso.unit_results import collect_units, print_units
from report.confusion import write_confusions
from report.figures import Format
from report.page import write_page


def main(
    result: Path = Path("result"),
    html: Annotated[bool, FlagCreatePairsOff] = False,
    thumbnails: Annotated[bool, FlagCreatePairsOff] = False,
    format: Format = "png",
) -> None:
    """Build the tables of every experiment under `result` and print the summary.

    Args:
        result: folder that holds the experiments' folders.
        html: also write index.html, one page that opens from disk with no network.
        thumbnails: show faces on the page: frames, views and heat maps. The demo set's are
            shown anyway; a corpus's are personal data, so share such a page with nobody who
            may not see the corpus.
        format: of the confusion matrices: png, or pdf for papers (fonts embedded).
    """
    if thumbnails and not html:
        raise UserError("--thumbnails goes with --html")
    log, experiments = collect(result)
    units = collect_units(result)
    if log.empty and units.empty:
        raise UserError(f"{result}: no fold record in any folder; run a train_me_loso script first")
    if len(units):
        write_tables(result, {"units.csv": units})
        print_units(units)
        print(f"wrote {result / 'units.csv'}")
    if log.empty:
        return
    summary = summarise(log, experiments)
    groups = summarise_groups(log, experiments)
    tables = {"result_log.csv": log, "summary.csv": summary, "groups.csv": groups}
    write_tables(result, tables)
    drawn = first_seed(log, experiments)
    write_confusions(result, drawn, experiments, format)
    print_summary(summary, experiments)
    if groups["group"].nunique() > 1:
        print_groups(groups)
    print(f"wrote {', '.join(str(result / name) for name in tables)}")
    if html:
        path = write_page(result, drawn, summary, groups, experiments, thumbnails)
        print(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB); open it in a browser")


if __name__ == "__main__":
    run_script(main)
