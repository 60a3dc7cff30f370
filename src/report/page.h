// SPDX-License-Identifier: Apache-2.0
// report.html: one page with curves and tables of runs, for browsers; it fetches nothing.
#ifndef TITAN_REPORT_PAGE_H
#define TITAN_REPORT_PAGE_H

#include "report/json.h"
#include "storage/output.h"

// Not collective. Writes the page. TITAN_ERROR_OUTPUT as titan_output_write; TITAN_ERROR_MEMORY.
titan_status titan_page_write(const titan_report_data *data, titan_output *output);

#endif
