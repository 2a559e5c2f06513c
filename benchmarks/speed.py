"""Everything about speed in one run: the weight step, its growth, and an epoch's mini-batches.

    python benchmarks/speed.py     # some 15 minutes; writes three JSON files, prints their tables

On a machine with a GPU the same command measures there too: device time of the weight step, the QP
with its transfers, LeNet, and ResNet-18 in bfloat16 against its floor. Nothing else should run.
"""

import epoch
import weight_scaling
import weight_step

if __name__ == "__main__":
    weight_step.run(rounds=100)
    weight_scaling.run()
    epoch.run()
    epoch.table()
