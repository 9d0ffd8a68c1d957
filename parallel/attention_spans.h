// What the rows of a stream see of each other, for the kernels: one span for each sequence with query rows
// here.
#pragma once

#include "parallel/attention.h"
#include "runtime/ops/attention.h"

namespace longsight::parallel {

// `queries` are the rows of the q given to the kernels and `keys` those of k and v; every key that a query
// sees is among them, and each sequence with a query here has the keys up to the last that is needed.
std::vector<ops::AttentionSpan> attention_spans(const AttentionShape&, const AttentionStream&,
                                                RowRange queries, RowRange keys);

// The keys that the queries see: those of their sequences, as far as a causal mask, a window and prefixes let
// them see. One range.
RowRange needed_keys(const AttentionShape&, const AttentionStream&, RowRange queries);

// Pairs of a query and a key that attention looks at, by the rank that holds the query; window and prefixes
// as in AttentionShape and AttentionStream. Time in ranks + sequences.
std::vector<double> attention_pairs(const PackedSequences&, const Cuts&, bool causal, i64 window = 0,
                                    std::span<const i64> prefixes = {});

// The same for a strategy whose ranks work on their own rows with all heads: times the query heads.
std::vector<double> pairs_of_rows(const AttentionShape&, const AttentionStream&);

// What the kernels take from the scratch arena for these rows, beside what their caller takes. threads 0:
// nothing is counted, in no time.
ops::AttentionScratch kernel_scratch(const AttentionShape&, const AttentionStream&, RowRange queries,
                                     RowRange keys, i64 heads, i64 kv_heads, DType, int threads);

}  // namespace longsight::parallel
