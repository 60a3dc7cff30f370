// SPDX-License-Identifier: Apache-2.0
// Lines as they are printed, which are longer than lines of C.
// clang-format off
#include "app/usage.h"

const char titan_report_usage[] =
    "usage: titan-report RUN [RUN ...] --output FILE [--points N]\n"
    "       titan-report show RUN [--curve NAME] [--x step|tokens|time] [--log] [--ascii] [--width N] [--height N]\n"
    "       titan-report watch RUN [--interval SECONDS] [--curve NAME] [--x step|tokens|time] [--log] [--ascii] [--width N] [--height N]\n"
    "\n"
    "A RUN is the dump folder of a run (job.dump_folder), or its metrics.h5. It may be a run in progress, or one that was\n"
    "killed. A folder called show or watch is written ./show.\n"
    "\n"
    "Without a command, titan-report writes one page with the curves, results, times and configurations of one or more runs.\n"
    "The page needs no network. --output (-o) names it (-: standard output); an older file of the name is replaced once\n"
    "the new one is complete.\n"
    "A curve of more than N rows (default 2000) is reduced to N points: the smallest and largest value of each of N/2 - 1\n"
    "buckets of rows, and the first and the last row.\n"
    "\n"
    "show   prints curves of a run. --curve chooses one and can be repeated: loss, validation_loss, grad_norm, lr, tps, mfu,\n"
    "       memory, seconds, exposed, data_loading or loss_max. --x chooses what they are drawn over, --log makes the scale of\n"
    "       the values logarithmic. --ascii draws with *, not with Braille characters; so does a locale without UTF-8. The\n"
    "       width is that of the terminal (80 columns without one), the height of a curve is 8 lines.\n"
    "watch  prints them every 5 seconds (--interval), until the run ends or Ctrl-C is pressed.\n"
    "\n"
    "Other options: --help, --version.\n"
    "Exit codes: 0 done, 2 usage (also: no run there, or an output that is an input), 3 metrics that are damaged or cannot\n"
    "be read, 5 memory or output.\n";
