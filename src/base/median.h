// SPDX-License-Identifier: Apache-2.0
#ifndef TITAN_BASE_MEDIAN_H
#define TITAN_BASE_MEDIAN_H

// Sorts values[count] (count >= 1, no NaN), and gives their median: of an even number, the mean of the two in the
// middle.
double titan_median(double *values, int count);

#endif
