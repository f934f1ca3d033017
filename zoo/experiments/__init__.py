"""The tables of the paper as experiments: rows, data, models, protocol, figures.

Each table is an `Experiment`, see `zoo.experiments.experiment`. The functions in the
files of the tables are its fields and have the arguments that are described there.
"""

from zoo.experiments.appendices import APPENDIX_B, APPENDIX_C
from zoo.experiments.experiment import Experiment
from zoo.experiments.frame_prediction import FRAME_PREDICTION
from zoo.experiments.section_4_3 import SECTION_4_3
from zoo.experiments.table_1 import TABLE_1
from zoo.experiments.table_2 import TABLE_2
from zoo.experiments.table_3 import TABLE_3
from zoo.experiments.table_4 import TABLE_4

EXPERIMENTS: dict[str, Experiment] = {
    "table-1": TABLE_1,
    "table-2": TABLE_2,
    "table-3": TABLE_3,
    "table-4": TABLE_4,
    "section-4.3": SECTION_4_3,
    "appendix-b": APPENDIX_B,
    "appendix-c": APPENDIX_C,
    "moving-mnist": FRAME_PREDICTION,
}
