"""What the two papers print: every table, every stated hyper-parameter, and what others published since.

`table("A", 2)` is a data frame to set beside one's own results; `TABLES["A", 2]` adds its title, its source and
what to know before quoting it. `settings("A")` holds what the paper says, field by field of a recipe, and our
reading of it. `anchors()` are public results of other ResNet-50 and transformer methods. `originals()` has what the
systems in the papers' tables report of themselves beside what is quoted, and says where each number was checked.

Paper A: Z. Cao and H. J. Lee, "Improved Res2Net model for Person re-identification".
Paper B: Z. He, X. Liu and H. Zhu, "Person re-identification method based on multi-scale residual pooling".

Scores are in percent; NaN where a paper prints none. Columns carry this package's names of the scores.
"""

from reid_lab.papers.originals import differing, originals
from reid_lab.papers.settings import settings
from reid_lab.papers.tables import TABLES, Table, anchors, table

__all__ = ["TABLES", "Table", "anchors", "differing", "originals", "settings", "table"]
