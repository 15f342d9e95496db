"""Every fold record under result/ -> result_log.csv, summary.csv, confusion matrices."""

from pathlib import Path

from data.errors import run_script
from data.files import write_whole
from loso.groups import print_groups, summarise_groups
from loso.results import collect, print_summary, summarise, write_results


def main(result: Path = Path("result")) -> None:
    """Build the tables of every experiment under `result` and print the summary.

    Args:
        result: folder that holds the experiments' folders.
    """
    log, classes, expected = collect(result)
    summary = summarise(log, classes)
    write_results(result, log, summary, classes)
    groups = summarise_groups(log, classes)
    with write_whole(result / "groups.csv") as part:
        groups.to_csv(part, index=False)
    print_summary(summary, expected)
    if groups["group"].nunique() > 1:
        print_groups(groups)
    print(f"wrote {result / 'result_log.csv'} and {result / 'summary.csv'}")


if __name__ == "__main__":
    run_script(main)
