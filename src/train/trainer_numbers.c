// SPDX-License-Identifier: Apache-2.0
// The end of a run whose loss or gradient norm is not finite. The weights are those before that step.
#include "base/log.h"
#include "comm/recorder.h"
#include "parallel/nonfinite.h"
#include "train/trainer_private.h"

#include <math.h>
#include <string.h>

// Collective. debug.find_nonfinite: "; " and where the numbers went wrong, or why that is not known; "" where it is
// off.
static titan_status find_cause(titan_trainer *trainer, const trainer_step *step, titan_text *text) {
  const titan_config *config = trainer->env.config;
  char found[TITAN_FOUND_BYTES];
  if (strcmp(config->debug.find_nonfinite, "off") == 0)
    return TITAN_OK;
  if (config->optimizer.early_step_in_backward)
    return titan_text_printf(text, "; the step cannot run again, because optimizer.early_step_in_backward has "
                                   "updated the weights already");
  if (trainer->rank == 0)
    titan_log_info("The loss or the gradient norm of step %lld is not finite: the parameters are examined, and the "
                   "step runs again to find the first operation with such a result",
                   (long long)step->step);
  titan_recorder_set_phase("search for non-finite values", step->step);
  titan_status status = titan_runtime_find_nonfinite(trainer->runtime, (int)(trainer->begun - step->step), found);
  if (status == TITAN_ERROR_MEMORY)
    return titan_text_printf(text, "; the step did not run again: %s", titan_error_message());
  TITAN_TRY(status);
  return titan_text_printf(text, "; %s",
                           found[0] != '\0' ? found
                                            : "run again, the step gives finite values only: the fault does not "
                                              "repeat, as one of memory or of a processor might not");
}

// NaN has a sign, which says nothing.
static double without_sign(double x) {
  return isnan(x) ? (double)NAN : x;
}

// Its last line for all ranks. A rank whose own loss is not finite reports it; a norm that is not finite is the same on
// all ranks.
static titan_status end_badly(titan_trainer *trainer, const trainer_step *step, const char *cause) {
  const char *last = titan_trainer_checkpoint_last(trainer);
  titan_status status = TITAN_OK;
  if (!isfinite(step->local_loss))
    status = titan_error(TITAN_ERROR_NUMBERS, "step %lld: the loss of rank %d is %g%s; %s", (long long)step->step,
                         trainer->rank, without_sign(step->local_loss), cause, last);
  TITAN_TRY(titan_comm_agree(titan_trainer_world(trainer), status));
  status = titan_error(TITAN_ERROR_NUMBERS,
                       "step %lld: the gradient norm is %g while every rank's loss is finite (rank 0: %g)%s; %s",
                       (long long)step->step, without_sign(step->grad_norm), step->local_loss, cause, last);
  return titan_comm_agree(titan_trainer_world(trainer), status);
}

// All ranks end in the same manner: the numbers that they judge by are the same on all.
titan_status titan_trainer_check_numbers(titan_trainer *trainer, const trainer_step *step) {
  if (isfinite(step->loss) && isfinite(step->grad_norm) && step->same_tokens)
    return TITAN_OK;
  TITAN_TRY(titan_trainer_checkpoint_settle(trainer));
  if (!step->same_tokens)
    return titan_comm_agree(titan_trainer_world(trainer), titan_trainer_tokens_differ(trainer, step->step));
  titan_text cause = {0};
  titan_status status = titan_comm_agree(titan_trainer_world(trainer), find_cause(trainer, step, &cause));
  if (status == TITAN_OK)
    status = end_badly(trainer, step, cause.data != NULL ? cause.data : "");
  titan_text_destroy(&cause);
  return status;
}
