#include "optim/optimizer.h"

#include <math.h>

double titan_optimizer_sum_of_squares(titan_runtime *runtime) {
  titan_device *device = titan_runtime_device(runtime);
  bool first = titan_comm_rank(titan_mesh_comm(titan_runtime_mesh(runtime), TITAN_MESH_TP)) == 0;
  double sum = 0;
  for (int i = 0; i < titan_runtime_unit_count(runtime); i++) {
    const titan_unit *unit = titan_runtime_unit(runtime, i);
    for (int p = 0; p < unit->plan->parameter_count; p++) {
      titan_unit_slice slice;
      if ((first || unit->plan->parameters[p].sharded) && titan_unit_slice_of(unit, p, &slice))
        sum += device->vector->sum_of_squares(device, slice.count, unit->gradient + slice.first_in_shard);
    }
  }
  return sum;
}

double titan_optimizer_learning_rate(const titan_optimizer_options *options, int64_t step) {
  return options->learning_rate * titan_lr_factor(&options->curve, step - 1 - options->schedule_first,
                                                  options->warmup_steps,
                                                  options->total_steps - options->schedule_first);
}

titan_status titan_optimizer_step(titan_runtime *runtime, const titan_optimizer_options *options, int64_t step,
                                  double norm) {
  titan_device *device = titan_runtime_device(runtime);
  double updates = (double)(step - options->moments_first); // of the moments, with this one
  double clip = options->max_norm / (norm + 1e-6);
  titan_adam_step adam = {
      .learning_rate = (float)titan_optimizer_learning_rate(options, step),
      .beta1 = (float)options->beta1,
      .beta2 = (float)options->beta2,
      .epsilon = (float)options->epsilon,
      .weight_decay = (float)options->weight_decay,
      .bias_correction1 = (float)(1 - pow(options->beta1, updates)),
      .bias_correction2 = (float)(1 - pow(options->beta2, updates)),
      .decoupled = options->decoupled,
      .gradient_scale = (float)(clip < 1 ? clip : 1),
  };
  for (int i = 0; i < titan_runtime_unit_count(runtime); i++) {
    titan_unit *unit = titan_runtime_unit(runtime, i);
    device->vector->adam(device, &adam, unit->shard_elements, unit->master, unit->exp_avg, unit->exp_avg_sq,
                         unit->gradient, unit->compute, titan_runtime_options_of(runtime)->shape.dtype);
  }
  return titan_runtime_publish(runtime);
}
