// The work on one tile of attention. Included once per instruction set, after its `#pragma GCC target`, with
//   kVectorBytes: bytes of a vector register;  kStrip: rows of a micro-kernel, so that kStrip x 2
//   accumulators fit.
// Only the compiler's vectors and functions of this file are used inside, so nothing of one instruction set
// can be linked into the other.
//
// Layouts, L lanes to a vector:
//   panels      x[c][row][L]: column c * L + lane of row; a product reads it as left side (a row's elements
//   one by one)
//               and as right side (a vector of L columns per row).
//   transposed  x[v][d][L]: element d of row v * L + lane.
//   scores      x[row][kLd], row-major.
namespace longsight::ops {
namespace {

#define LONGSIGHT_INLINE [[gnu::always_inline]] inline

template <class T>
struct Simd;
template <>
struct Simd<float> {
  typedef float Vector __attribute__((vector_size(kVectorBytes)));
  typedef std::int32_t Integer __attribute__((vector_size(kVectorBytes)));
  typedef std::uint32_t Bits __attribute__((vector_size(kVectorBytes)));
  static constexpr float kRound =
      12582912.f;  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
  static constexpr int kMantissa = 23;
  static constexpr float kSmallest = -125.f;
  // 2^r = 1 + r * sum c_k r^k on [-1/2, 1/2], from Chebyshev nodes: relative error 5e-9.
  static constexpr float kPower[] = {0.6931471880262288f,   0.24022650760568126f,   0.05550357114219078f,
                                     0.009618082557277852f, 0.0013390863364671234f, 0.0001545316294512069f};
};
template <>
struct Simd<double> {
  typedef double Vector __attribute__((vector_size(kVectorBytes)));
  typedef std::int64_t Integer __attribute__((vector_size(kVectorBytes)));
  typedef std::uint64_t Bits __attribute__((vector_size(kVectorBytes)));
  static constexpr double kRound = 6755399441055744.0;  // 1.5 * 2^52
  static constexpr int kMantissa = 52;
  static constexpr double kSmallest = -1021;
  // As above: relative error 8e-18.
  static constexpr double kPower[] = {0.6931471805599453,    0.24022650695910097,   0.0555041086648216,
                                      0.009618129107606888,  0.0013333558146416936, 0.0001540353044173605,
                                      1.525273382983612e-05, 1.321544258792169e-06, 1.0178062445845774e-07,
                                      7.072585949269223e-09, 4.4549605981865186e-10};
};
template <class T>
using Vec = typename Simd<T>::Vector;
template <class T>
constexpr i64 kLanes = kVectorBytes / static_cast<i64>(sizeof(T));

constexpr int kSoftmaxVectors = 2;  // a cache line pair in each row of scores
constexpr double kLog2e = 1.44269504088896340736;
constexpr double kLn2 = 0.69314718055994530942;

template <class T>
LONGSIGHT_INLINE Vec<T> load(const T* from) {
  Vec<T> x;
  __builtin_memcpy(&x, from, sizeof x);
  return x;
}
template <class T>
LONGSIGHT_INLINE void store(T* to, Vec<T> x) {
  __builtin_memcpy(to, &x, sizeof x);
}
template <class T>
LONGSIGHT_INLINE Vec<T> splat(T x) {
  return x - Vec<T>{};
}
template <class T>
LONGSIGHT_INLINE Vec<T> lane_numbers() {
  Vec<T> x{};
  for (i64 i = 0; i < kLanes<T>; ++i) x[i] = static_cast<T>(i);
  return x;
}
constexpr i64 vectors_of(i64 count, i64 lanes) {
  return (count + lanes - 1) / lanes;
}
constexpr i64 clamped(i64 x, i64 low, i64 high) {
  return x < low ? low : x > high ? high : x;
}

// The last `count` < L elements of a row at from; the other lanes become zero. Where whole vectors lie before
// them
// (`inner`), one that ends with the row is read and shifted.
template <class T>
LONGSIGHT_INLINE Vec<T> load_tail(const T* from, i64 count, bool inner) {
  constexpr i64 L = kLanes<T>;
  if (!inner) {
    Vec<T> x{};
    for (i64 i = 0; i < count; ++i) x[i] = from[i];
    return x;
  }
  typename Simd<T>::Integer index{};
  for (int i = 0; i < static_cast<int>(L); ++i) index[i] = i;
  const Vec<T> shifted = __builtin_shuffle(load(from + count - L), index + static_cast<int>(L - count));
  return lane_numbers<T>() < static_cast<T>(count) ? shifted : Vec<T>{};
}
template <class T>
LONGSIGHT_INLINE void store_tail(T* to, Vec<T> x, i64 count) {
  for (i64 i = 0; i < count; ++i) to[i] = x[i];
}

// 2^x for x up to about 100; 0 below kSmallest (no denormals), also for x = -infinity. NaN stays NaN.
template <class T>
LONGSIGHT_INLINE Vec<T> exp2_of(Vec<T> x) {
  using S = Simd<T>;
  using Bits = typename S::Bits;
  const Vec<T> shifted = x + S::kRound;
  const Vec<T> r = x - (shifted - S::kRound);
  constexpr int terms = sizeof S::kPower / sizeof S::kPower[0];
  Vec<T> p = splat(S::kPower[terms - 1]);
#pragma GCC unroll 16
  for (int i = terms - 2; i >= 0; --i) p = p * r + S::kPower[i];
  p = p * r + T(1);
  const Bits bits = reinterpret_cast<Bits>(p) + (reinterpret_cast<Bits>(shifted) << S::kMantissa);
  return x < S::kSmallest ? Vec<T>{} : reinterpret_cast<Vec<T>>(bits);
}

// --- Copies into tiles ---

// to (panels, `panel` elements apart) = factor * rows of `width`; columns beyond the width become zero.
template <class T>
void copy_rows(T* to, i64 panel, const T* from, i64 stride, i64 rows, i64 width, T factor) {
  constexpr i64 L = kLanes<T>;
  const i64 whole = width / L, rest = width % L;
  for (i64 r = 0; r < rows; ++r, from += stride, to += L) {
    for (i64 c = 0; c < whole; ++c) store<T>(to + c * panel, factor * load(from + c * L));
    if (rest > 0) store<T>(to + whole * panel, factor * load_tail(from + whole * L, rest, whole > 0));
  }
}

// rows = (or += , with kAdd) factor(row) * panels.
template <bool kAdd, class T, class Factor>
LONGSIGHT_INLINE void write_rows(T* to, i64 stride, const T* from, i64 panel, i64 rows, i64 width,
                                 Factor factor) {
  constexpr i64 L = kLanes<T>;
  const i64 whole = width / L, rest = width % L;
  for (i64 r = 0; r < rows; ++r, to += stride, from += L) {
    const T f = factor(r);
    for (i64 c = 0; c < whole; ++c) {
      const Vec<T> x = f * load(from + c * panel);
      store<T>(to + c * L, kAdd ? load(to + c * L) + x : x);
    }
    if (rest > 0) {
      const Vec<T> x = f * load(from + whole * panel);
      store_tail<T>(to + whole * L, kAdd ? load_tail(to + whole * L, rest, whole > 0) + x : x, rest);
    }
  }
}

template <class T>
void clear_rows(T* x, i64 panel, i64 rows, i64 width) {
  constexpr i64 L = kLanes<T>;
  for (i64 c = 0; c < vectors_of(width, L); ++c) {
    for (i64 r = 0; r < rows; ++r) store<T>(x + c * panel + r * L, Vec<T>{});
  }
}

// In registers: after the step of size s, bit s of the lane and of the vector are exchanged.
template <class T, int step>
LONGSIGHT_INLINE void exchange(Vec<T> (&x)[kLanes<T>]) {
  constexpr int L = kLanes<T>;
  using Integer = typename Simd<T>::Integer;
  Integer low{}, high{};
  for (int i = 0; i < L; ++i) {
    low[i] = i & step ? L + i - step : i;
    high[i] = i & step ? L + i : i + step;
  }
#pragma GCC unroll 16
  for (int i = 0; i < L; ++i) {
    if (i & step) continue;
    const Vec<T> a = x[i], b = x[i + step];
    x[i] = __builtin_shuffle(a, b, low);
    x[i + step] = __builtin_shuffle(a, b, high);
  }
  if constexpr (step > 1) exchange<T, step / 2>(x);
}

// to (transposed, [v][width][L]) = factor * rows; lanes beyond the rows become zero.
template <class T>
void copy_transposed(T* to, const T* from, i64 stride, i64 rows, i64 width, T factor) {
  constexpr i64 L = kLanes<T>;
  for (i64 first = 0; first < rows; first += L, from += L * stride, to += width * L) {
    const i64 count = rows - first;
    for (i64 d = 0; d < width; d += L) {
      const i64 depth = width - d;
      Vec<T> x[L];
      if (depth >= L) {
#pragma GCC unroll 16
        for (i64 r = 0; r < L; ++r) x[r] = r < count ? factor * load(from + r * stride + d) : Vec<T>{};
      } else {
        for (i64 r = 0; r < L; ++r)
          x[r] = r < count ? factor * load_tail(from + r * stride + d, depth, d > 0) : Vec<T>{};
      }
      exchange<T, kLanes<T> / 2>(x);
      if (depth >= L) {
#pragma GCC unroll 16
        for (i64 r = 0; r < L; ++r) store<T>(to + (d + r) * L, x[r]);
      } else {
        for (i64 r = 0; r < depth; ++r) store<T>(to + (d + r) * L, x[r]);
      }
    }
  }
}

// --- Products: M rows x N vectors in registers ---

// sum[r][v] += a[r * kStep + k * kAdvance] * b[v * b_panel + k * L] over k.
template <class T, int M, int N, i64 kStep, i64 kAdvance>
LONGSIGHT_INLINE void accumulate(Vec<T> (&sum)[M][N], const T* a, const T* b, i64 b_panel, i64 depth) {
  for (i64 k = 0; k < depth; ++k) {
    Vec<T> right[N];
#pragma GCC unroll 4
    for (int v = 0; v < N; ++v) right[v] = load(b + v * b_panel + k * kLanes<T>);
#pragma GCC unroll 16
    for (int r = 0; r < M; ++r) {
      const Vec<T> left = splat(a[r * kStep + k * kAdvance]);
#pragma GCC unroll 4
      for (int v = 0; v < N; ++v) sum[r][v] += left * right[v];
    }
  }
}

// c (scores) = a (panels) * b (transposed).
template <class T, int M, int N, i64 kLd>
void product_scores(T* c, i64, const T* a, i64 a_panel, const T* b, i64 b_panel, i64 depth) {
  constexpr i64 L = kLanes<T>;
  Vec<T> sum[M][N] = {};
  for (; depth >= L; depth -= L, a += a_panel, b += L * L) accumulate<T, M, N, L, 1>(sum, a, b, b_panel, L);
  if (depth > 0) accumulate<T, M, N, L, 1>(sum, a, b, b_panel, depth);
#pragma GCC unroll 16
  for (int r = 0; r < M; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < N; ++v) store<T>(c + r * kLd + v * L, sum[r][v]);
}

// c (panels) += a (scores)^T * b (panels).
template <class T, int M, int N, i64 kLd>
void product_columns(T* c, i64 c_panel, const T* a, i64, const T* b, i64 b_panel, i64 depth) {
  constexpr i64 L = kLanes<T>;
  Vec<T> sum[M][N] = {};
  accumulate<T, M, N, 1, kLd>(sum, a, b, b_panel, depth);
#pragma GCC unroll 16
  for (int r = 0; r < M; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < N; ++v) store<T>(c + v * c_panel + r * L, load(c + v * c_panel + r * L) + sum[r][v]);
}

// c (panels) = a (scores) * b (panels).
template <class T, int M, int N, i64 kLd>
void product_rows(T* c, i64 c_panel, const T* a, i64, const T* b, i64 b_panel, i64 depth) {
  constexpr i64 L = kLanes<T>;
  Vec<T> sum[M][N] = {};
  accumulate<T, M, N, kLd, 1>(sum, a, b, b_panel, depth);
#pragma GCC unroll 16
  for (int r = 0; r < M; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < N; ++v) store<T>(c + v * c_panel + r * L, sum[r][v]);
}

template <class T>
using Product = void (*)(T* c, i64 c_panel, const T* a, i64 a_panel, const T* b, i64 b_panel, i64 depth);
template <class T>
struct ProductTable {
  Product<T> one[kStrip + 1] = {};  // by rows, N = 1
  Product<T> two[kStrip + 1] = {};
};

template <class T, i64 kLd, int M = kStrip>
constexpr void fill_tables(ProductTable<T>& scores, ProductTable<T>& columns, ProductTable<T>& rows) {
  scores.one[M] = product_scores<T, M, 1, kLd>;
  scores.two[M] = product_scores<T, M, 2, kLd>;
  columns.one[M] = product_columns<T, M, 1, kLd>;
  columns.two[M] = product_columns<T, M, 2, kLd>;
  rows.one[M] = product_rows<T, M, 1, kLd>;
  rows.two[M] = product_rows<T, M, 2, kLd>;
  if constexpr (M > 1) fill_tables<T, kLd, M - 1>(scores, columns, rows);
}
template <class T, i64 kLd>
struct Products {
  ProductTable<T> scores, columns, rows;
  constexpr Products() { fill_tables<T, kLd>(scores, columns, rows); }
};
template <class T, i64 kLd>
constexpr Products<T, kLd> kProducts;

// Even strips: 65 rows are 5 of 11 and one of 10, not 5 of 12 and a slow one of 5.
template <class F>
LONGSIGHT_INLINE void for_strips(i64 rows, F f) {
  const i64 strips = vectors_of(rows, kStrip);
  i64 first = 0;
  for (i64 s = 0; s < strips; ++s) {
    const i64 count = rows / strips + (s < rows % strips);
    f(first, count);
    first += count;
  }
}

// Brings rows that are copied next into the second-level cache, a few at each call of a micro-kernel: rows
// lie a whole model row apart, which no hardware prefetcher follows.
template <class T>
struct Upcoming {
  const T* rows;
  i64 stride, count, width;

  LONGSIGHT_INLINE void step(i64 steps) {
    for (i64 now = vectors_of(count, steps); now > 0; --now, --count, rows += stride) {
      for (i64 c = 0; c < width; c += 64 / static_cast<i64>(sizeof(T))) __builtin_prefetch(rows + c, 0, 2);
    }
  }
};

// What a strip of rows needs of the other dimension: [begin, end).
struct Range {
  i64 begin, end;
};

// c [rows, columns] = a [rows, depth] b^T; `needed` gives the columns wanted of a strip, others are left
// undefined.
template <class T, i64 kLd, class F>
LONGSIGHT_INLINE void tile_scores(T* c, const T* a, i64 a_panel, i64 rows, const T* b, i64 columns, i64 depth,
                                  Upcoming<T> next, F needed) {
  constexpr i64 L = kLanes<T>;
  const auto& table = kProducts<T, kLd>.scores;
  const i64 vectors = vectors_of(columns, L), b_panel = depth * L;
  i64 steps = vectors_of(vectors, 2) * vectors_of(rows, kStrip);
  for (i64 v = 0; v < vectors; v += 2) {
    for_strips(rows, [&](i64 first, i64 count) {
      next.step(steps--);
      const Range range = needed(first, count);
      const bool lower = range.begin < (v + 1) * L && range.end > v * L;
      const bool upper = v + 1 < vectors && range.begin < (v + 2) * L && range.end > (v + 1) * L;
      if (!lower && !upper) return;
      const auto* product = lower && upper ? table.two : table.one;
      const i64 w = lower ? v : v + 1;
      product[count](c + first * kLd + w * L, 0, a + first * L, a_panel, b + w * b_panel, b_panel, depth);
    });
  }
}

// c [columns of a, width] += a [depth, columns]^T b [depth, width]; `needed`: the depth that a strip of
// columns has.
template <class T, i64 kLd, class F>
LONGSIGHT_INLINE void tile_columns(T* c, i64 c_panel, const T* a, i64 columns, const T* b, i64 b_panel,
                                   i64 width, Upcoming<T> next, F needed) {
  constexpr i64 L = kLanes<T>;
  const auto& table = kProducts<T, kLd>.columns;
  const i64 vectors = vectors_of(width, L);
  i64 steps = vectors_of(vectors, 2) * vectors_of(columns, kStrip);
  for_strips(columns, [&](i64 first, i64 count) {
    const Range range = needed(first, count);
    if (range.begin >= range.end) return;
    for (i64 v = 0; v < vectors; v += 2) {
      next.step(steps--);
      const auto* product = v + 1 < vectors ? table.two : table.one;
      product[count](c + v * c_panel + first * L, c_panel, a + range.begin * kLd + first, 0,
                     b + v * b_panel + range.begin * L, b_panel, range.end - range.begin);
    }
  });
}

// c [rows, width] = a [rows, depth] b [depth, width]; `needed`: the depth that a strip of rows has, from 0.
template <class T, i64 kLd, class F>
LONGSIGHT_INLINE void tile_rows(T* c, i64 c_panel, const T* a, i64 rows, const T* b, i64 b_panel, i64 width,
                                Upcoming<T> next, F needed) {
  constexpr i64 L = kLanes<T>;
  const auto& table = kProducts<T, kLd>.rows;
  const i64 vectors = vectors_of(width, L);
  i64 steps = vectors_of(vectors, 2) * vectors_of(rows, kStrip);
  for_strips(rows, [&](i64 first, i64 count) {
    const i64 depth = needed(first, count).end;
    for (i64 v = 0; v < vectors; v += 2) {
      next.step(steps--);
      const auto* product = v + 1 < vectors ? table.two : table.one;
      product[count](c + v * c_panel + first * L, c_panel, a + first * kLd, 0, b + v * b_panel, b_panel,
                     depth);
    }
  });
}

// --- Forward ---

// Scores lie transposed, [keys][queries]: each lane is a query, so the softmax needs no sum across lanes.
template <class T>
struct ForwardScratch {
  T *q, *k, *v, *scores, *sum_v, *top, *sum, *shrink;
  static constexpr i64 kKeyPanel = kForwardKeys * kLanes<T>;
  static constexpr i64 kQueryPanel = kForwardQueries * kLanes<T>;
  static i64 padded(i64 width) { return vectors_of(width, kLanes<T>) * kLanes<T>; }
  static i64 size(i64 width) {
    return padded(width) * (2 * kForwardQueries + 2 * kForwardKeys) + kForwardQueries * (kForwardKeys + 3);
  }
  ForwardScratch(T* base, i64 width) {
    const auto take = [&](i64 count) { return std::exchange(base, base + count); };
    q = take(padded(width) * kForwardQueries);
    k = take(padded(width) * kForwardKeys);
    v = take(padded(width) * kForwardKeys);
    sum_v = take(padded(width) * kForwardQueries);
    scores = take(kForwardKeys * kForwardQueries);
    top = take(kForwardQueries);
    sum = take(kForwardQueries);
    shrink = take(kForwardQueries);
  }
};

// Below every score, and finite: a query that has seen nothing yet keeps exp2(-inf - kNothing) = 0.
template <class T>
constexpr T kNothing = T(-1e30);

// N vectors of queries: scores become exp2(score - top); top, sum and shrink = exp2(old top - new top)
// follow. True where a top has moved.
template <class T, int N, bool kMasked>
LONGSIGHT_INLINE bool softmax_block(const ForwardScratch<T>& at, i64 first, i64 keys, i64 offset) {
  constexpr i64 L = kLanes<T>, ld = kForwardQueries;
  T* const s = at.scores + first;
  const i64 visible = kMasked ? clamped(first + N * L + offset, 0, keys) : keys;  // to some lane
  Vec<T> last[N], before[N], top[N], sum[N];  // last: key that a lane sees
#pragma GCC unroll 4
  for (int v = 0; v < N; ++v) {
    last[v] = lane_numbers<T>() + static_cast<T>(first + v * L + offset);
    top[v] = before[v] = load(at.top + first + v * L);
    sum[v] = Vec<T>{};
  }
  const auto score = [&](i64 j, int v) {
    const Vec<T> x = load(s + j * ld + v * L);
    if constexpr (kMasked) return static_cast<T>(j) <= last[v] ? x : splat(-static_cast<T>(__builtin_inf()));
    return x;
  };
  for (i64 j = 0; j < visible; ++j) {
#pragma GCC unroll 4
    for (int v = 0; v < N; ++v) {
      const Vec<T> x = score(j, v);
      top[v] = x > top[v] ? x : top[v];
    }
  }
  for (i64 j = 0; j < visible; ++j) {
#pragma GCC unroll 4
    for (int v = 0; v < N; ++v) {
      const Vec<T> e = exp2_of<T>(score(j, v) - top[v]);
      store<T>(s + j * ld + v * L, e);
      sum[v] += e;
    }
  }
  typename Simd<T>::Integer moved{};
#pragma GCC unroll 4
  for (int v = 0; v < N; ++v) {
    for (i64 j = visible; j < keys; ++j) store<T>(s + j * ld + v * L, Vec<T>{});
    const Vec<T> shrink = exp2_of<T>(before[v] - top[v]);
    store<T>(at.top + first + v * L, top[v]);
    store<T>(at.sum + first + v * L, load(at.sum + first + v * L) * shrink + sum[v]);
    store<T>(at.shrink + first + v * L, shrink);
    moved |= before[v] != top[v];
  }
  bool any = false;
  for (i64 i = 0; i < L; ++i) any |= moved[i] != 0;
  return any;
}

template <class T, bool kMasked>
LONGSIGHT_INLINE bool online_softmax(const ForwardScratch<T>& at, i64 queries, i64 keys, i64 offset) {
  constexpr i64 L = kLanes<T>;
  bool moved = false;
  i64 first = 0;
  for (; first + kSoftmaxVectors * L <= queries; first += kSoftmaxVectors * L)
    moved |= softmax_block<T, kSoftmaxVectors, kMasked>(at, first, keys, offset);
  for (; first < queries; first += L) moved |= softmax_block<T, 1, kMasked>(at, first, keys, offset);
  return moved;
}

template <class T>
void forward(const ForwardTile<T>& tile, T* scratch) {
  constexpr i64 L = kLanes<T>, ld = kForwardQueries;
  using Scratch = ForwardScratch<T>;
  const Scratch at(scratch, tile.width);
  const i64 queries = tile.queries, panels = vectors_of(tile.width, L);
  copy_transposed<T>(at.q, tile.q, tile.q_stride, queries, tile.width, static_cast<T>(tile.scale * kLog2e));
  for (i64 i = 0; i < vectors_of(queries, L) * L; ++i) {
    at.top[i] = kNothing<T>;
    at.sum[i] = 0;
  }
  clear_rows<T>(at.sum_v, Scratch::kQueryPanel, queries, tile.width);

  const i64 steps = vectors_of(tile.keys, kForwardKeys);
  const i64 step = steps > 0 ? vectors_of(vectors_of(tile.keys, steps), kStrip) * kStrip : 0;
  for (i64 begin = 0; begin < tile.keys; begin += step) {
    const i64 keys = clamped(tile.keys - begin, 0, step), offset = tile.offset - begin;
    copy_rows<T>(at.k, Scratch::kKeyPanel, tile.k + begin * tile.k_stride, tile.k_stride, keys, tile.width,
                 1);
    copy_rows<T>(at.v, Scratch::kKeyPanel, tile.v + begin * tile.v_stride, tile.v_stride, keys, tile.width,
                 1);
    const i64 after = clamped(tile.keys - begin - keys, 0, step);
    const Upcoming<T> next_k{tile.k + (begin + keys) * tile.k_stride, tile.k_stride, after, tile.width};
    const Upcoming<T> next_v =
        after > 0 ? Upcoming<T>{tile.v + (begin + keys) * tile.v_stride, tile.v_stride, after, tile.width}
                  : Upcoming<T>{tile.o, tile.o_stride, queries, tile.width};
    const bool masked = keys - 1 > offset;  // the first query does not see the last key
    tile_scores<T, ld>(at.scores, at.k, Scratch::kKeyPanel, keys, at.q, queries, tile.width, next_k,
                       [&](i64 first, i64) {
                         return Range{first - offset, queries};
                       });
    const bool moved = masked ? online_softmax<T, true>(at, queries, keys, offset)
                              : online_softmax<T, false>(at, queries, keys, offset);
    if (moved && begin > 0) {
      for (i64 i = 0; i < queries; ++i) {
        if (at.shrink[i] == 1) continue;
        for (i64 c = 0; c < panels; ++c) {
          T* x = at.sum_v + c * Scratch::kQueryPanel + i * L;
          store<T>(x, at.shrink[i] * load(x));
        }
      }
    }
    tile_columns<T, ld>(at.sum_v, Scratch::kQueryPanel, at.scores, queries, at.v, Scratch::kKeyPanel,
                        tile.width, next_v, [&](i64 first, i64 count) {
                          return Range{0, clamped(first + count + offset, 0, keys)};
                        });
  }

  write_rows<false>(tile.o, tile.o_stride, at.sum_v, Scratch::kQueryPanel, queries, tile.width,
                    [&](i64 i) { return at.sum[i] == 0 ? T(0) : 1 / at.sum[i]; });
  for (i64 i = 0; i < queries; ++i) {
    const double sum = static_cast<double>(at.sum[i]);
    tile.lse[i * tile.lse_stride] = static_cast<T>(
        sum == 0 ? -__builtin_inf() : static_cast<double>(at.top[i]) * kLn2 + __builtin_log(sum));
  }
}

// --- Backward ---

// Scores lie [queries][keys]: k and v are brought into the transposed layout once for all queries of the key
// tile.
template <class T>
struct BackwardScratch {
  T *k_transposed, *v_transposed, *k, *dk, *dv, *q, *d_o, *dq, *scores, *d_scores, *lse, *delta;
  static constexpr i64 kKeyPanel = kBackwardKeys * kLanes<T>;
  static constexpr i64 kQueryPanel = kBackwardQueries * kLanes<T>;
  static i64 padded(i64 width) { return vectors_of(width, kLanes<T>) * kLanes<T>; }
  static i64 size(i64 width) {
    return padded(width) * (5 * kBackwardKeys + 3 * kBackwardQueries) +
           kBackwardQueries * (2 * kBackwardKeys + 2);
  }
  BackwardScratch(T* base, i64 width) {
    const auto take = [&](i64 count) { return std::exchange(base, base + count); };
    for (T** x : {&k_transposed, &v_transposed, &k, &dk, &dv}) *x = take(padded(width) * kBackwardKeys);
    for (T** x : {&q, &d_o, &dq}) *x = take(padded(width) * kBackwardQueries);
    for (T** x : {&scores, &d_scores}) *x = take(kBackwardQueries * kBackwardKeys);
    for (T** x : {&lse, &delta}) *x = take(kBackwardQueries);
  }
};

template <class T>
void begin_keys(const KeyTile<T>& tile, T* scratch) {
  using Scratch = BackwardScratch<T>;
  const Scratch at(scratch, tile.width);
  copy_transposed<T>(at.k_transposed, tile.k, tile.k_stride, tile.keys, tile.width,
                     static_cast<T>(tile.scale * kLog2e));
  copy_transposed<T>(at.v_transposed, tile.v, tile.v_stride, tile.keys, tile.width, 1);
  copy_rows<T>(at.k, Scratch::kKeyPanel, tile.k, tile.k_stride, tile.keys, tile.width,
               static_cast<T>(tile.scale));
  clear_rows<T>(at.dk, Scratch::kKeyPanel, tile.keys, tile.width);
  clear_rows<T>(at.dv, Scratch::kKeyPanel, tile.keys, tile.width);
}

// scores become probabilities p, d_scores become p * (d_p - delta).
template <class T, bool kMasked>
LONGSIGHT_INLINE void softmax_gradient(const BackwardScratch<T>& at, i64 queries, i64 keys, i64 offset) {
  constexpr i64 L = kLanes<T>, ld = kBackwardKeys;
  const Vec<T> lanes = lane_numbers<T>();
  for (i64 i = 0; i < queries; ++i) {
    T *s = at.scores + i * ld, *ds = at.d_scores + i * ld;
    const T lse = at.lse[i], delta = at.delta[i];
    const i64 visible = kMasked ? clamped(i + offset + 1, 0, keys) : keys;
    i64 j = 0;
    for (; j < visible; j += L) {
      Vec<T> p = exp2_of<T>(load(s + j) - lse);
      Vec<T> d = p * (load(ds + j) - delta);
      if constexpr (kMasked) {
        const auto seen = lanes < static_cast<T>(visible - j);
        p = seen ? p : Vec<T>{};
        d = seen ? d : Vec<T>{};
      }
      store<T>(s + j, p);
      store<T>(ds + j, d);
    }
    for (; j < keys; j += L) {
      store<T>(s + j, Vec<T>{});
      store<T>(ds + j, Vec<T>{});
    }
  }
}

template <class T>
void visit_queries(const KeyTile<T>& own, const QueryTile<T>& tile, T* scratch) {
  constexpr i64 ld = kBackwardKeys;
  using Scratch = BackwardScratch<T>;
  constexpr i64 key_panel = Scratch::kKeyPanel, query_panel = Scratch::kQueryPanel;
  const i64 queries = tile.queries, keys = own.keys, offset = tile.offset, width = own.width;
  const Scratch at(scratch, width);
  copy_rows<T>(at.q, query_panel, tile.q, tile.q_stride, queries, width, 1);
  copy_rows<T>(at.d_o, query_panel, tile.d_o, tile.d_o_stride, queries, width, 1);
  for (i64 i = 0; i < queries; ++i) {
    at.lse[i] = tile.lse[i * tile.lse_stride] * static_cast<T>(kLog2e);
    at.delta[i] = tile.delta[i * tile.delta_stride];
  }
  // The next visit reads the queries behind these; after the last one dk and dv are written.
  const i64 more = tile.queries_after, keys_now = more > 0 ? 0 : keys;
  const Upcoming<T> next_q{tile.q + queries * tile.q_stride, tile.q_stride, more, width};
  const Upcoming<T> next_do{tile.d_o + queries * tile.d_o_stride, tile.d_o_stride, more, width};
  const Upcoming<T> dq{tile.dq, tile.dq_stride, queries, width};
  const Upcoming<T> dk{own.dk, own.dk_stride, keys_now, width}, dv{own.dv, own.dv_stride, keys_now, width};

  const auto keys_seen = [&](i64 first, i64 count) {
    return Range{0, clamped(first + count + offset, 0, keys)};
  };
  const auto queries_seeing = [&](i64 first, i64) {
    return Range{clamped(first - offset, 0, queries), queries};
  };
  tile_scores<T, ld>(at.scores, at.q, query_panel, queries, at.k_transposed, keys, width, next_q, keys_seen);
  tile_scores<T, ld>(at.d_scores, at.d_o, query_panel, queries, at.v_transposed, keys, width, next_do,
                     keys_seen);
  if (keys - 1 > offset) {
    softmax_gradient<T, true>(at, queries, keys, offset);
  } else {
    softmax_gradient<T, false>(at, queries, keys, offset);
  }
  tile_columns<T, ld>(at.dv, key_panel, at.scores, keys, at.d_o, query_panel, width, dv, queries_seeing);
  tile_columns<T, ld>(at.dk, key_panel, at.d_scores, keys, at.q, query_panel, width, dk, queries_seeing);
  tile_rows<T, ld>(at.dq, query_panel, at.d_scores, queries, at.k, key_panel, width, dq, keys_seen);
}

template <class T>
void write_dq(const KeyTile<T>& own, const QueryTile<T>& tile, bool add, const T* scratch) {
  using Scratch = BackwardScratch<T>;
  const Scratch at(const_cast<T*>(scratch), own.width);
  const auto one = [](i64) { return T(1); };
  if (add) {
    write_rows<true>(tile.dq, tile.dq_stride, at.dq, Scratch::kQueryPanel, tile.queries, own.width, one);
  } else {
    write_rows<false>(tile.dq, tile.dq_stride, at.dq, Scratch::kQueryPanel, tile.queries, own.width, one);
  }
}

template <class T>
void finish_keys(const KeyTile<T>& own, const T* scratch) {
  using Scratch = BackwardScratch<T>;
  const Scratch at(const_cast<T*>(scratch), own.width);
  write_rows<false>(own.dk, own.dk_stride, at.dk, Scratch::kKeyPanel, own.keys, own.width,
                    [scale = static_cast<T>(own.scale)](i64) { return scale; });
  write_rows<false>(own.dv, own.dv_stride, at.dv, Scratch::kKeyPanel, own.keys, own.width,
                    [](i64) { return T(1); });
}

template <class T>
constexpr TileKernels<T> kTileKernels = {ForwardScratch<T>::size, forward<T>,       BackwardScratch<T>::size,
                                         begin_keys<T>,           visit_queries<T>, write_dq<T>,
                                         finish_keys<T>};

#undef LONGSIGHT_INLINE

}  // namespace
}  // namespace longsight::ops
