// What the rows of a stream see of each other, for the kernels: one span for each sequence with query rows
// here.
#pragma once

#include "parallel/attention/attention.h"
#include "parallel/attention/head_split.h"
#include "runtime/ops/attention.h"

namespace longsight::parallel {

// `queries` are the rows of the q given to the kernels and `keys` those of k and v, of sequences that have a
// query here; they need not be all that a query sees.
std::vector<ops::AttentionSpan> attention_spans(const AttentionShape&, const AttentionStream&,
                                                RowRange queries, RowRange keys);

// The problem of a rank that has these heads, and of one that has all.
ops::AttentionProblem some_heads(const AttentionShape&, const HeadRange&,
                                 std::span<const ops::AttentionSpan>);
ops::AttentionProblem all_heads(const AttentionShape&, std::span<const ops::AttentionSpan>);

// The keys that the queries see: those of their sequences, as far as a causal mask, a window and prefixes let
// them see. One range.
RowRange needed_keys(const AttentionShape&, const AttentionStream&, RowRange queries);

// Pairs of a query and a key that attention looks at, by the rank that holds the query; window and prefixes
// as in AttentionShape and AttentionStream. Time in pieces + sequences.
std::vector<double> attention_pairs(const PackedSequences&, const Cuts&, bool causal, i64 window = 0,
                                    std::span<const i64> prefixes = {});

// The same for a strategy whose ranks work on their own rows with all heads: times the query heads.
std::vector<double> pairs_of_rows(const AttentionShape&, const AttentionStream&);

}  // namespace longsight::parallel
