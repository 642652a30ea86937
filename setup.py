"""What pyproject.toml cannot say: what notebooks read of a checkout goes into the wheel, and links become whole."""

import re
import tomllib
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
# Recorded tables, and the exercises with their checks. An installed package finds them in runtime.files.PACKED.
READ_BY_NOTEBOOKS = ("figures/*.csv", "benchmarks/results/*.csv", "notebooks/solutions/*.py")
PACKED = Path("reid_lab", "course", "files")


class WithCourse(build_py):
    """Build the package, and put what notebooks read beside it into ``reid_lab/course/files``."""

    def run(self) -> None:
        """Copy the files; an editable installation reads them where they are."""
        super().run()
        if self.editable_mode:
            return
        for pattern in READ_BY_NOTEBOOKS:
            for path in sorted(HERE.glob(pattern)):
                target = Path(self.build_lib) / PACKED / path.relative_to(HERE)
                self.mkpath(str(target.parent))
                self.copy_file(str(path), str(target))


def long_description() -> str:
    """The README, whose links and pictures lead into the repository, since they are shown elsewhere."""
    project = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    where = project["urls"]["Repository"]
    text = (HERE / "README.md").read_text(encoding="utf-8")
    text = re.sub(r"(!\[[^]]*\]\()(?![a-z]+:|#)", rf"\1{where}/raw/main/", text)
    return re.sub(r"((?<!!)\[[^][]*\]\()(?![a-z]+:|#)", rf"\1{where}/blob/main/", text)


setup(
    cmdclass={"build_py": WithCourse},
    long_description=long_description(),
    long_description_content_type="text/markdown",
)
