"""Run one measurement by its name."""

import json
import resource
import sys

from benchmarks import emitting, reading, writing
from benchmarks.setting import Setting

MEASURES = {**emitting.MEASURES, **reading.MEASURES, **writing.MEASURES}

if __name__ == "__main__":
    result = MEASURES[sys.argv[1]](Setting.of(sys.argv[2]))
    result["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(result))
