#include "runtime/ops/cuda/row_groups.h"
#include "runtime/ops/cuda/rows.h"
#include "runtime/ops/cuda/views.h"

namespace longsight::ops::cuda {
namespace {

// Row to[i] of y = row from[i] of x, in words of so many bytes; without a list, row i.
template <class Word>
struct CopyRows {
  LANE_FN void operator()(i64 row, i64 word) const {
    *y.at(to == nullptr ? row : to[row], word) = *x.at(from == nullptr ? row : from[row], word);
  }
  Rows<Word> y;
  Rows<const Word> x;
  const i64 *to, *from;
};

template <class Word>
struct ZeroRows {
  LANE_FN void operator()(i64 row, i64 word) const { *y.at(row, word) = Word{}; }
  Rows<Word> y;
};

struct alignas(16) Word16 {
  std::uint64_t halves[2];
};

template <class Word>
Rows<Word> rows_of_words(const Matrix& x) {
  check(x.backend == Backend::cuda, "rows of {} moved on a GPU", name_of(x.backend));
  Rows<Word> rows;
  rows.data = static_cast<Word*>(x.data);
  rows.stride = x.stride * size_of(x.dtype) / static_cast<i64>(sizeof(Word));
  return rows;
}

// Calls f with the largest word that rows of the operands consist of, and how many of them.
template <class F>
void with_word(const Matrix& moved, std::initializer_list<Matrix> operands, F&& f) {
  const i64 bytes = moved.cols * size_of(moved.dtype);
  const auto fits = [&](i64 word) {
    return bytes % word == 0 && std::all_of(operands.begin(), operands.end(), [&](const Matrix& x) {
             return reinterpret_cast<std::uintptr_t>(x.data) % static_cast<std::uintptr_t>(word) == 0 &&
                    x.stride * size_of(x.dtype) % word == 0;
           });
  };
  if (fits(16)) return f(Word16{}, bytes / 16);
  if (fits(4)) return f(std::uint32_t{}, bytes / 4);
  if (fits(2)) return f(std::uint16_t{}, bytes / 2);
  f(std::uint8_t{}, bytes);
}

template <class F>
void each_row_word(const char* kernel, Stream stream, i64 rows, i64 words, const F& f) {
  launch(kernel, stream, lanes::grid_of_items(rows * words), EachPack<1, F>{rows, 0, words, f});
}

void copy_rows(const char* kernel, const Matrix& y, const Matrix& x, i64 rows, const i64* to, const i64* from,
               Stream stream) {
  with_word(y, {y, x}, [&](auto zero, i64 words) {
    using Word = decltype(zero);
    each_row_word(kernel, stream, rows, words,
                  CopyRows<Word>{rows_of_words<Word>(y), rows_of_words<const Word>(x), to, from});
  });
}

template <class To, class From, int N>
struct ConvertPacks {
  LANE_FN void operator()(i64 row, i64 column) const {
    const Pack<From, N> in = load<N>(from.at(row, column));
    Pack<To, N> out;
    for (int i = 0; i < N; ++i) out[i] = static_cast<Statistics<To>>(in[i]);
    store(to.at(row, column), out);
  }
  Rows<To> to;
  Rows<const From> from;
};

template <class Y, class T, int N>
struct AddPacks {
  LANE_FN void operator()(i64 row, i64 column) const {
    Pack<Y, N> sum = load<N>(y.at(row, column));
    const Pack<T, N> term = load<N>(x.at(row, column));
    for (int i = 0; i < N; ++i) sum[i] = sum[i] + term[i];
    store(y.at(row, column), sum);
  }
  Rows<Y> y;
  Rows<const T> x;
};

// Group g: the rows of x that are added to one row of y, in their order; rounded once.
template <class Y, class T, int N>
struct AddGroups {
  LANE_FN void operator()(i64 group, i64 column) const {
    using S = Statistics<T>;
    Y* const to = y.at(targets[group], column);
    Pack<Y, N> out = load<N>(to);
    S sum[N];
    for (int i = 0; i < N; ++i) sum[i] = S(out[i]);
    for (i64 k = begins[group]; k < begins[group + 1]; ++k) {
      const Pack<T, N> term = load<N>(x.at(sources[k], column));
      for (int i = 0; i < N; ++i) sum[i] += S(term[i]);
    }
    for (int i = 0; i < N; ++i) out[i] = sum[i];
    store(to, out);
  }
  Rows<Y> y;
  Rows<const T> x;
  const i64 *targets, *begins, *sources;
};

// Calls f with zeros of the types of y and of x, of whose type or statistics' type y is.
template <class F>
void dispatch_sum(const Matrix& y, const Matrix& x, F&& f) {
  dispatch(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    if (y.dtype == x.dtype) return f(T{}, T{});
    f(Statistics<T>{}, T{});
  });
}

}  // namespace

void gather_rows(Matrix y, Matrix x, const IndexList& index, Stream stream) {
  copy_rows("gather_rows", y, x, y.rows, nullptr, index.on(stream).data(), stream);
}

void scatter_rows(Matrix y, Matrix x, const IndexList& index, Stream stream) {
  copy_rows("scatter_rows", y, x, x.rows, index.on(stream).data(), nullptr, stream);
}

void scatter_add_rows(Matrix y, Matrix x, const IndexList& index, Stream stream) {
  if (index.size() == 0) return;
  const RowGroups groups = group_by_row(index.host());
  const lanes::StreamArray<i64> targets(std::span<const i64>(groups.targets), stream),
      begins(std::span<const i64>(groups.begins), stream),
      sources(std::span<const i64>(groups.sources), stream);
  dispatch_sum(y, x, [&](auto sum, auto term) {
    using Y = decltype(sum);
    using T = decltype(term);
    with_pack<T>(x.cols, {y, x}, [&](auto pack) {
      constexpr int kElements = decltype(pack)::value;
      const auto count = static_cast<i64>(groups.targets.size());
      const AddGroups<Y, T, kElements> f{Rows<Y>(y), Rows<const T>(x), targets.data(), begins.data(),
                                         sources.data()};
      launch("scatter_add_rows", stream, lanes::grid_of_items(count * (x.cols / kElements), 128),
             EachPack<kElements, AddGroups<Y, T, kElements>>{count, 0, x.cols, f});
    });
  });
}

void copy_matrix(Matrix to, Matrix from, Stream stream) {
  if (to.dtype == from.dtype) return copy_rows("copy_matrix", to, from, to.rows, nullptr, nullptr, stream);
  // Of the types only bf16 has statistics of another one.
  const auto convert = [&](auto to_zero, auto from_zero) {
    using To = decltype(to_zero);
    using From = decltype(from_zero);
    each_pack<bf16>("copy_matrix", stream, to.rows, to.cols, {to, from}, [&](auto pack) {
      return ConvertPacks<To, From, decltype(pack)::value>{Rows<To>(to), Rows<const From>(from)};
    });
  };
  if (to.dtype == DType::BF16) return convert(bf16{}, float{});
  convert(float{}, bf16{});
}

void add_matrix(Matrix y, Matrix x, Stream stream) {
  dispatch_sum(y, x, [&](auto sum, auto term) {
    using Y = decltype(sum);
    using T = decltype(term);
    each_pack<T>("add_matrix", stream, x.rows, x.cols, {y, x}, [&](auto pack) {
      return AddPacks<Y, T, decltype(pack)::value>{Rows<Y>(y), Rows<const T>(x)};
    });
  });
}

void zero_matrix(Matrix y, Stream stream) {
  with_word(y, {y}, [&](auto zero, i64 words) {
    using Word = decltype(zero);
    each_row_word("zero_matrix", stream, y.rows, words, ZeroRows<Word>{rows_of_words<Word>(y)});
  });
}

}  // namespace longsight::ops::cuda
