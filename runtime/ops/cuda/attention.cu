// An own kernel for attention, for every type, mask and width up to 256: tiles in shared memory, online
// softmax, products by ordinary instructions. Gradients of keys and values, and of queries, are two kernels,
// which both compute the scores again: so every sum belongs to one block, in the order of the tiles, and has
// the same bits on every run.
#include <limits>

#include "runtime/device/lanes/reduce.h"
#include "runtime/ops/cuda/attention.h"
#include "runtime/ops/cuda/attention_block.h"
#include "runtime/ops/cuda/attention_tiles.h"

namespace longsight::ops::cuda {
namespace {

// One head of a [T, H, D] view: row t begins at data + t * stride.
template <class T>
struct HeadRows {
  explicit HeadRows(const Heads& x) : rows(x.matrix), width(x.width) {}
  LANE_FN T* at(i64 row, i64 head) const { return rows.at(row, head * width); }
  Rows<T> rows;
  i64 width;
};

struct Problem {
  const DeviceSpan* spans;
  i64 span_count, heads, kv_heads;
  int width;
  HeadMap map;
  double scale;
  LANE_FN i64 kv_of(i64 head) const { return (map.first_q + head) / map.group - map.first_kv; }
};

// Of so many rows, those of the first tile.
template <int kTile>
LANE_FN int rows_of_tile(i64 rows) {
  return rows < kTile ? static_cast<int>(rows) : kTile;
}

// A tile of queries of one head, which a block works on: some threads for each of them.
template <class Block>
struct QueryTile {
  static constexpr int kTile = Block::kTile;
  template <class Lane>
  LANE_FN QueryTile(const Lane& lane, const Problem& problem)
      : head(lane.block() % problem.heads),
        kv(problem.kv_of(head)),
        tile(lane.block() / problem.heads),
        span(span_of_tile(problem.spans, problem.span_count, tile, &DeviceSpan::first_q_tile)),
        first((tile - span.first_q_tile) * kTile),
        queries(rows_of_tile<kTile>(span.q_rows - first)),
        from(span.q_begin + first),
        row(lane.thread() / Block::kOfRow),
        rank(lane.thread() % Block::kOfRow) {}

  i64 head, kv, tile;
  const DeviceSpan& span;
  i64 first;      // of the span's
  int queries;    // how many there are
  i64 from;       // row of the first one
  int row, rank;  // of this thread: its query, and its place beside the others of it
};

// Block: a tile of queries of one head.
template <class T, int kWidth>
struct AttentionForward {
  using S = Statistics<T>;
  using Block = AttentionBlock<S, kWidth>;
  static constexpr int kTile = Block::kTile, kMostThreads = Block::kThreads,
                       kLeastBlocks = Block::least_blocks(2);

  template <class Lane>
  LANE_FN void operator()(Lane& lane) const {
    const QueryTile<Block> mine(lane, problem);
    const DeviceSpan& span = mine.span;
    const i64 first = mine.first, head = mine.head, kv = mine.kv;
    const int width = problem.width, queries = mine.queries, row = mine.row, rank = mine.rank;
    S* const q_tile = lane.template shared<S>();
    S* const kv_tile = q_tile + kTile * Block::stride_of(width);
    S* const weights = kv_tile + kTile * Block::stride_of(width);

    Block::fill(lane, q_tile, q.at(mine.from, head), q.rows.stride, queries, width);
    constexpr S kNothing = -std::numeric_limits<S>::infinity();
    S top = kNothing, sum = 0;
    typename Block::Sums sums;
    Block::clear(sums);
    for (i64 key = 0; key < span.k_rows; key += kTile) {
      const int keys = rows_of_tile<kTile>(span.k_rows - key);
      if (!span.any_seen(first, queries, key, keys)) continue;
      Block::fill(lane, kv_tile, k.at(span.k_begin + key, kv), k.rows.stride, keys, width);
      lane.sync();
      S scores[Block::kScores];
      Block::multiply(scores, q_tile, kv_tile, row, rank, width);
      S largest = kNothing;
      for (int j = 0; j < Block::kScores; ++j) {
        const int column = rank + Block::kOfRow * j;
        const bool seen = column < keys && span.sees(first + row, key + column);
        scores[j] = seen ? scores[j] * static_cast<S>(problem.scale) : kNothing;
        largest = largest < scores[j] ? scores[j] : largest;
      }
      largest = Block::largest_of_row(lane, largest);
      const S higher = top < largest ? largest : top;
      const bool none = higher == kNothing;  // no key has been seen yet
      const S factor = none ? S(1) : formulas::exp_of(top - higher);
      S more = 0;
      for (int j = 0; j < Block::kScores; ++j) {
        const S weight = none ? S(0) : formulas::exp_of(scores[j] - higher);
        weights[row * Block::kScoreStride + rank + Block::kOfRow * j] = weight;
        more += weight;
      }
      sum = sum * factor + Block::sum_of_row(lane, more);
      top = higher;
      lane.sync();  // the keys have been read
      Block::fill(lane, kv_tile, v.at(span.k_begin + key, kv), v.rows.stride, keys, width);
      lane.sync();
      Block::accumulate(sums, factor, weights, kv_tile, row, rank, width);
      lane.sync();  // the values have been read
    }
    if (row >= queries) return;
    const i64 out = mine.from + row;
    const bool seen = sum > S(0);
    Block::write(o.at(out, head), sums, seen ? S(1) / sum : S(0), rank, width);
    if (rank == 0) *lse.at(out, head) = seen ? top + std::log(sum) : kNothing;
  }
  HeadRows<T> o;
  Rows<S> lse;
  HeadRows<const T> q, k, v;
  Problem problem;
};

// Of scores that come out of two tiles: probabilities, and their gradients times the scale.
template <class S, class Block, class Sees>
LANE_FN void gradient_of_scores(S (&weights)[Block::kScores], S (&slopes)[Block::kScores], S scale,
                                Sees&& sees) {
  for (int j = 0; j < Block::kScores; ++j) {
    const auto [seen, lse, delta] = sees(j);
    const S weight = seen ? formulas::exp_of(weights[j] * scale - lse) : S(0);
    weights[j] = weight;
    slopes[j] = seen ? weight * (slopes[j] - delta) * scale : S(0);
  }
}

template <class S>
struct Seen {
  bool seen;
  S lse, delta;
};

// Block: a tile of queries of one head; what they see, tile by tile.
template <class T, int kWidth>
struct AttentionQueryGradient {
  using S = Statistics<T>;
  using Block = AttentionBlock<S, kWidth>;
  static constexpr int kTile = Block::kTile, kMostThreads = Block::kThreads,
                       kLeastBlocks = Block::least_blocks(4);

  template <class Lane>
  LANE_FN void operator()(Lane& lane) const {
    const QueryTile<Block> mine(lane, problem);
    const DeviceSpan& span = mine.span;
    const i64 first = mine.first, head = mine.head, kv = mine.kv, from = mine.from;
    const int width = problem.width, queries = mine.queries, row = mine.row, rank = mine.rank;
    const int tile_elements = kTile * Block::stride_of(width);
    S* const q_tile = lane.template shared<S>();
    S* const do_tile = q_tile + tile_elements;
    S* const k_tile = do_tile + tile_elements;
    S* const v_tile = k_tile + tile_elements;
    S* const slope_tile = v_tile + tile_elements;

    Block::fill(lane, q_tile, q.at(from, head), q.rows.stride, queries, width);
    Block::fill(lane, do_tile, d_o.at(from, head), d_o.rows.stride, queries, width);
    const bool here = row < queries;
    const S of_lse = here ? *lse.at(from + row, head) : S(0),
            of_delta = here ? *delta.at(from + row, head) : S(0);
    typename Block::Sums sums;
    Block::clear(sums);
    for (i64 key = 0; key < span.k_rows; key += kTile) {
      const int keys = rows_of_tile<kTile>(span.k_rows - key);
      if (!span.any_seen(first, queries, key, keys)) continue;
      Block::fill(lane, k_tile, k.at(span.k_begin + key, kv), k.rows.stride, keys, width);
      Block::fill(lane, v_tile, v.at(span.k_begin + key, kv), v.rows.stride, keys, width);
      lane.sync();
      S weights[Block::kScores], slopes[Block::kScores];
      Block::multiply(weights, q_tile, k_tile, row, rank, width);
      Block::multiply(slopes, do_tile, v_tile, row, rank, width);
      gradient_of_scores<S, Block>(weights, slopes, static_cast<S>(problem.scale), [&](int j) {
        const int column = rank + Block::kOfRow * j;
        return Seen<S>{here && column < keys && span.sees(first + row, key + column), of_lse, of_delta};
      });
      for (int j = 0; j < Block::kScores; ++j)
        slope_tile[row * Block::kScoreStride + rank + Block::kOfRow * j] = slopes[j];
      lane.sync();
      Block::accumulate(sums, S(1), slope_tile, k_tile, row, rank, width);
      lane.sync();  // the keys have been read
    }
    if (here) Block::write(dq.at(from + row, head), sums, S(1), rank, width);
  }
  HeadRows<T> dq;
  HeadRows<const T> d_o;
  Rows<const S> delta, lse;
  HeadRows<const T> q, k, v;
  Problem problem;
};

// Block: a tile of keys of one KV head; all query heads that use it, and what of their queries sees the keys.
template <class T, int kWidth>
struct AttentionKeyGradient {
  using S = Statistics<T>;
  using Block = AttentionBlock<S, kWidth>;
  static constexpr int kTile = Block::kTile, kMostThreads = Block::kThreads,
                       kLeastBlocks = Block::least_blocks(4);

  template <class Lane>
  LANE_FN void operator()(Lane& lane) const {
    const i64 tile = lane.block() / problem.kv_heads, kv = lane.block() % problem.kv_heads;
    const DeviceSpan& span = span_of_tile(problem.spans, problem.span_count, tile, &DeviceSpan::first_k_tile);
    const i64 key = (tile - span.first_k_tile) * kTile, from = span.k_begin + key;
    const int keys = rows_of_tile<kTile>(span.k_rows - key), width = problem.width;
    const i64 asked = (problem.map.first_kv + kv) * problem.map.group - problem.map.first_q;
    const i64 first_head = asked < 0 ? 0 : asked, behind = asked + problem.map.group;
    const i64 last_head = behind < problem.heads ? behind : problem.heads;
    const int row = lane.thread() / Block::kOfRow, rank = lane.thread() % Block::kOfRow;
    const int tile_elements = kTile * Block::stride_of(width);
    S* const k_tile = lane.template shared<S>();
    S* const v_tile = k_tile + tile_elements;
    S* const q_tile = v_tile + tile_elements;
    S* const do_tile = q_tile + tile_elements;
    S* const weight_tile = do_tile + tile_elements;
    S* const slope_tile = weight_tile + Block::kScoreBytes / static_cast<i64>(sizeof(S));

    Block::fill(lane, k_tile, k.at(from, kv), k.rows.stride, keys, width);
    Block::fill(lane, v_tile, v.at(from, kv), v.rows.stride, keys, width);
    typename Block::Sums dk_sums, dv_sums;
    Block::clear(dk_sums);
    Block::clear(dv_sums);
    for (i64 head = first_head; head < last_head; ++head) {
      for (i64 first = 0; first < span.q_rows; first += kTile) {
        const int queries = rows_of_tile<kTile>(span.q_rows - first);
        const i64 q_row = span.q_begin + first;
        if (!span.any_seen(first, queries, key, keys)) continue;
        Block::fill(lane, q_tile, q.at(q_row, head), q.rows.stride, queries, width);
        Block::fill(lane, do_tile, d_o.at(q_row, head), d_o.rows.stride, queries, width);
        lane.sync();
        S weights[Block::kScores], slopes[Block::kScores];
        Block::multiply(weights, k_tile, q_tile, row, rank, width);
        Block::multiply(slopes, v_tile, do_tile, row, rank, width);
        gradient_of_scores<S, Block>(weights, slopes, static_cast<S>(problem.scale), [&](int j) {
          const int query = rank + Block::kOfRow * j;
          if (row >= keys || query >= queries || !span.sees(first + query, key + row))
            return Seen<S>{false, S(0), S(0)};
          return Seen<S>{true, *lse.at(q_row + query, head), *delta.at(q_row + query, head)};
        });
        for (int j = 0; j < Block::kScores; ++j) {
          const int at = row * Block::kScoreStride + rank + Block::kOfRow * j;
          weight_tile[at] = weights[j];
          slope_tile[at] = slopes[j];
        }
        lane.sync();
        Block::accumulate(dv_sums, S(1), weight_tile, do_tile, row, rank, width);
        Block::accumulate(dk_sums, S(1), slope_tile, q_tile, row, rank, width);
        lane.sync();  // the queries have been read
      }
    }
    if (row >= keys) return;
    Block::write(dk.at(from + row, kv), dk_sums, S(1), rank, width);
    Block::write(dv.at(from + row, kv), dv_sums, S(1), rank, width);
  }
  HeadRows<T> dk, dv;
  HeadRows<const T> d_o;
  Rows<const S> delta, lse;
  HeadRows<const T> q, k, v;
  Problem problem;
};

// A warp for each head of a row.
template <class T>
struct AttentionDelta {
  template <class Lane>
  LANE_FN void operator()(Lane& lane) const {
    using S = Statistics<T>;
    const i64 item = lane.block() * (lane.threads() / lanes::kWarp) + lane.thread() / lanes::kWarp;
    if (item >= rows * heads) return;
    const i64 row = quotient(item, heads), head = item - row * heads;
    const T *const a = d_o.at(row, head), *const b = o.at(row, head);
    S sum = 0;
    for (i64 c = lane.thread() % lanes::kWarp; c < d_o.width; c += lanes::kWarp) sum += S(a[c]) * S(b[c]);
    sum = lanes::warp_reduce(lane, sum, lanes::Plus{});
    if (lane.thread() % lanes::kWarp == 0) *delta.at(row, head) = sum;
  }
  Rows<Statistics<T>> delta;
  HeadRows<const T> d_o, o;
  i64 rows, heads;
};

// Calls f(most) with the most columns of a head that a kernel is made for.
template <class F>
void with_width(i64 width, F&& f) {
  check(width <= 256, "attention on a GPU: heads of {}; at most 256", width);
  if (width <= 64) return f(std::integral_constant<int, 64>());
  if (width <= 128) return f(std::integral_constant<int, 128>());
  f(std::integral_constant<int, 256>());
}

Problem problem_of(const AttentionProblem& problem, const lanes::StreamArray<DeviceSpan>& spans,
                   const Heads& q, const Heads& k) {
  return {spans.data(),
          static_cast<i64>(problem.spans.size()),
          q.heads,
          k.heads,
          static_cast<int>(q.width),
          problem.heads,
          problem.scale};
}

}  // namespace

void attention(Heads o, Matrix lse, Heads q, Heads k, Heads v, const AttentionProblem& problem, Arena&,
               Stream stream) {
  if (q.heads == 0) return;
  dispatch(q.matrix.dtype, [&](auto zero) {
    using T = decltype(zero);
    using S = Statistics<T>;
    with_width(q.width, [&](auto most) {
      using Body = AttentionForward<T, decltype(most)::value>;
      using Block = typename Body::Block;
      const TileCounts counts = cut_into_tiles(problem.spans, Block::kTile);
      const lanes::StreamArray<DeviceSpan> spans(std::span<const DeviceSpan>(counts.spans), stream);
      launch("attention", stream,
             {counts.q_tiles * q.heads, Block::kThreads, 2 * Block::tile_bytes(q.width) + Block::kScoreBytes},
             Body{HeadRows<T>(o), Rows<S>(lse), HeadRows<const T>(q), HeadRows<const T>(k),
                  HeadRows<const T>(v), problem_of(problem, spans, q, k)});
    });
  });
}

void attention_delta(Matrix delta, Heads d_o, Heads o, Stream stream) {
  dispatch(d_o.matrix.dtype, [&](auto zero) {
    using T = decltype(zero);
    constexpr int kWarps = 4;
    launch("attention_delta", stream, {ceil_div(o.rows() * o.heads, kWarps), kWarps * lanes::kWarp},
           AttentionDelta<T>{Rows<Statistics<T>>(delta), HeadRows<const T>(d_o), HeadRows<const T>(o),
                             o.rows(), o.heads});
  });
}

void attention_backward(Heads dq, Heads dk, Heads dv, Heads d_o, Matrix delta, Matrix lse, Heads q, Heads k,
                        Heads v, const AttentionProblem& problem, Arena&, Stream stream) {
  dispatch(q.matrix.dtype, [&](auto zero) {
    using T = decltype(zero);
    using S = Statistics<T>;
    with_width(q.width, [&](auto most) {
      using Queries = AttentionQueryGradient<T, decltype(most)::value>;
      using Keys = AttentionKeyGradient<T, decltype(most)::value>;
      using Block = typename Keys::Block;
      const TileCounts counts = cut_into_tiles(problem.spans, Block::kTile);
      const lanes::StreamArray<DeviceSpan> spans(std::span<const DeviceSpan>(counts.spans), stream);
      const Problem of_all = problem_of(problem, spans, q, k);
      const i64 tiles = 4 * Block::tile_bytes(q.width);
      launch("attention_backward: queries", stream,
             {counts.q_tiles * q.heads, Block::kThreads, tiles + Block::kScoreBytes},
             Queries{HeadRows<T>(dq), HeadRows<const T>(d_o), Rows<const S>(delta), Rows<const S>(lse),
                     HeadRows<const T>(q), HeadRows<const T>(k), HeadRows<const T>(v), of_all});
      launch(
          "attention_backward: keys", stream,
          {counts.k_tiles * k.heads, Block::kThreads, tiles + 2 * Block::kScoreBytes},
          Keys{HeadRows<T>(dk), HeadRows<T>(dv), HeadRows<const T>(d_o), Rows<const S>(delta),
               Rows<const S>(lse), HeadRows<const T>(q), HeadRows<const T>(k), HeadRows<const T>(v), of_all});
    });
  });
}

}  // namespace longsight::ops::cuda
