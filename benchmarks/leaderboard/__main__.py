"""The leaderboard: every network of motion maps on public maps, under every protocol.

    python -m benchmarks.leaderboard --maps FOLDER --out FOLDER

Each row is an experiment of its own below --out, so that an interrupted command goes on and
get_result_log.py --result reads them all. docs/leaderboard.md says how to read the table.
"""

from pathlib import Path

from tyro.conf import OmitArgPrefixes

from common.cli import run_script
from loso.settings import Settings

from .rows import FOLDER, INDEX, Recipe, plan_rows


def main(
    maps: Path,
    out: Path,
    root: Path | None = None,
    map_frame: str = "auto",
    networks: tuple[str, ...] = (),
    workers: int | None = None,
    recipe: OmitArgPrefixes[Recipe] = Recipe(),  # noqa: B008 - frozen
) -> None:
    """Run every row that has not been run, and write <out>/leaderboard.csv, .md and .html.

    Args:
        maps: CausalNet's or HTNet's repository, an index (.csv) of ready maps, or an .npz.
        out: folder of the aligned maps, of each row's records and of the table.
        root: folder that an index's paths start from; its own if not given.
        map_frame: where the face lies in the maps: auto, own, or four numbers, as for training.
        networks: rows of these alone, by name of --motion-net; all if not given.
        workers: folds trained at once; as many as the cores and the memory are for if not given.
        recipe: epochs and groups.
    """
    base = Settings(
        dataset="composite", streams="motion", weights="none", device="cpu",
        index=out / FOLDER / INDEX, root=out / FOLDER, result=out, workers=workers,
    )  # fmt: skip
    rows = plan_rows(base, networks, recipe)
    # Here, so that --help and a wrong flag need no seconds of imports.
    from .maps import keep_maps, read_board
    from .run import check_rows, run_rows
    from .table import write_table

    board = read_board(maps, root, map_frame)
    folds = check_rows(rows, board.clips.index)
    keep_maps(board.clips, out)
    run_rows(rows, folds)
    print(write_table(rows, board, out))
    print(f"wrote {', '.join(str(out / f'leaderboard.{end}') for end in ('csv', 'md', 'html'))}")


if __name__ == "__main__":
    run_script(main)
