// Who holds which rows of one micro-batch: a value, the same on every rank of the sequence group.
#pragma once

#include "parallel/layout/cuts.h"
#include "parallel/plan.h"

namespace longsight::parallel {

struct Layout {
  i64 ranks = 1;
  Cuts language;  // of the language stream
  Cuts vision;    // of the vision stream

  std::string text() const;
};

Layout make_layout(const Plan&, const Geometry&);

}  // namespace longsight::parallel
