"""Spreadsheets as users have them (.xlsx, .xls, .csv), read into plain cells."""

import csv
import io
import re
import warnings
import zipfile
from pathlib import Path

import openpyxl
import xlrd

from common.errors import UserError

from .cells import is_empty, split_rows

Cells = list[list[object]]  # the rows of a sheet from its first one; None where a cell is empty
FORMULA = object()  # in place of a formula that was saved without its value
_OLE = bytes.fromhex("d0cf11e0a1b11ae1")  # Microsoft's container of .xls, .doc and locked files
_SAVE = "open it in a spreadsheet program and save it as .xlsx or CSV UTF-8"
_MARKUP = (b"<html", b"<!doctype", b"<table", b"<?xml", b"<head", b"<body", b"<meta")


def header_key(header: object) -> str:
    """A header or sheet name without what spellings differ in: Onset_Frame, "onset frame"."""
    return "" if is_empty(header) else re.sub(r"[\W_]", "", str(header)).lower()


def read_sheets(path: Path) -> dict[str, Cells]:
    """The sheets of a spreadsheet by name; a CSV file is one sheet of the file's name.

    The kind of file is told by its content, not its suffix. Merged cells each hold what the
    whole shows. UserError says what a file is that cannot be read, and what to do.
    """
    if path.name.startswith("~$"):
        raise UserError(
            f"{path}: the lock file of a spreadsheet that is open somewhere; name the spreadsheet "
            f"itself: {path.name[2:]}"
        )
    if not path.is_file():
        raise UserError(f"{path}: no such file; --annotation names the corpus's spreadsheet")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    if not data.strip():
        raise UserError(f"{path}: an empty file; copy it anew")
    if data.startswith(b"PK\x03\x04"):
        return _read_zip(path, data)
    if data.startswith(_OLE):
        return _read_xls(path, data)
    if data.lstrip(b"\xef\xbb\xbf\r\n\t ")[:9].lower().startswith(_MARKUP):
        raise UserError(f"{path}: a web page (HTML or XML) called a spreadsheet: {_SAVE}")
    try:
        return {path.stem: [list(row) for row in split_rows(_decode(path, data))]}
    except csv.Error as error:
        raise UserError(f"{path}: neither a spreadsheet nor a CSV table ({error})") from error


def _decode(path: Path, data: bytes) -> str:
    encoding = "utf-8-sig"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif b"\0" in data:
        raise UserError(f"{path}: neither a spreadsheet nor a CSV table")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return data.decode("latin-1")  # what is read of a table is ASCII, remarks may be anything


def _read_zip(path: Path, data: bytes) -> dict[str, Cells]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = {name.lower() for name in archive.namelist()}
            kind = archive.read("mimetype") if "mimetype" in names else b""
    except (zipfile.BadZipFile, KeyError) as error:
        raise UserError(f"{path}: a damaged .xlsx file (cut off?); copy it anew") from error
    if b"opendocument" in kind:
        raise UserError(f"{path}: an OpenDocument file (.ods): {_SAVE}")
    if "xl/workbook.bin" in names:
        raise UserError(f"{path}: a binary workbook (.xlsb): {_SAVE}")
    if "xl/workbook.xml" not in names:
        raise UserError(f"{path}: a zip archive, not a spreadsheet; name the spreadsheet in it")
    try:
        return _read_xlsx(data)
    except Exception as error:  # openpyxl raises whatever its zip and XML readers raise
        raise UserError(
            f"{path}: not readable as .xlsx ({type(error).__name__}): copy it anew, or {_SAVE}"
        ) from error


def _read_xlsx(data: bytes) -> dict[str, Cells]:
    def load(data_only: bool) -> openpyxl.Workbook:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and the like, that are not read here
            return openpyxl.load_workbook(io.BytesIO(data), data_only=data_only)

    book = load(data_only=False)
    values = None
    sheets: dict[str, Cells] = {}
    for sheet in book.worksheets:
        cells: Cells = [list(row) for row in sheet.iter_rows(values_only=True)]
        for i, row in enumerate(sheet.iter_rows()):
            for j, cell in enumerate(row):
                if cell.data_type == "f":
                    values = values or load(data_only=True)
                    value = values[sheet.title][cell.coordinate].value
                    cells[i][j] = FORMULA if value is None else value
        for area in sheet.merged_cells.ranges:
            _fill(cells, area.min_row - 1, area.max_row, area.min_col - 1, area.max_col)
        sheets[sheet.title] = cells
    return sheets


def _read_xls(path: Path, data: bytes) -> dict[str, Cells]:
    locked = f"{path}: protected by a password: open it, save it without one, name that file"
    if "EncryptedPackage".encode("utf-16-le") in data:
        raise UserError(locked)
    try:
        # Merged cells come with the formats alone.
        book = xlrd.open_workbook(file_contents=data, formatting_info=True, logfile=io.StringIO())
        sheets = {}
        for sheet in book.sheets():
            cells = [[_xls_value(cell) for cell in sheet.row(row)] for row in range(sheet.nrows)]
            for area in sheet.merged_cells:
                _fill(cells, *area)
            sheets[sheet.name] = cells
        return sheets
    except Exception as error:  # xlrd raises whatever a damaged file makes its reader raise
        if "encrypted" in str(error):
            raise UserError(locked) from error
        raise UserError(
            f"{path}: a damaged .xls, or another of Microsoft's files: copy it anew, or {_SAVE}"
        ) from error


def _xls_value(cell: xlrd.sheet.Cell) -> object:
    if cell.ctype in (xlrd.XL_CELL_EMPTY, xlrd.XL_CELL_BLANK):
        return None
    if cell.ctype == xlrd.XL_CELL_NUMBER and cell.value == int(cell.value):
        return int(cell.value)  # .xls knows no whole numbers
    if cell.ctype == xlrd.XL_CELL_ERROR:
        return xlrd.error_text_from_code.get(int(cell.value), "#ERROR")
    return cell.value


def _fill(cells: Cells, top: int, bottom: int, left: int, right: int) -> None:
    """Give every cell of a merged area (bottom and right exclusive) the value of its first."""
    value = cells[top][left] if top < len(cells) and left < len(cells[top]) else None
    for row in cells[top:bottom]:
        row[left:right] = [value] * len(row[left:right])
