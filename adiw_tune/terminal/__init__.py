"""What the command line prints: fronts as tables or data, decisions and epochs as sentences."""

from adiw_tune.terminal.answer import decision_text, meanings, reading_text
from adiw_tune.terminal.progress import epoch_line, plan_text, skipped_text
from adiw_tune.terminal.rows import rows_table
from adiw_tune.terminal.tables import front_as_data, front_table, scale_table, table_as

__all__ = [
    "decision_text",
    "epoch_line",
    "front_as_data",
    "front_table",
    "meanings",
    "plan_text",
    "reading_text",
    "rows_table",
    "scale_table",
    "skipped_text",
    "table_as",
]
