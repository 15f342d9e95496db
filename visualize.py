"""Pictures of a run: learning curves."""

from pathlib import Path

from data.errors import UserError, run_script
from report.curves import write_curves
from report.figures import Format


def curves(
    result: Path = Path("result"), experiment: str | None = None, format: Format = "png"
) -> None:
    """Draw losses and running UF1 by epoch, with `last` and the optimistic `best` marked.

    Args:
        result: folder that holds the experiments' folders.
        experiment: one experiment's name; all that have a finished fold if not given.
        format: png, or pdf for papers (fonts embedded).
    """
    if experiment is not None:
        folders = [result / experiment]
    else:
        folders = sorted({path.parent for path in result.glob("*/fold_*.json")})
    if not folders:
        raise UserError(f"{result}: no fold record in any folder; run a train_me_loso script first")
    for folder in folders:
        print(f"wrote {write_curves(folder, format)}")


if __name__ == "__main__":
    run_script({"curves": curves})
