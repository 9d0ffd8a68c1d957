#include "runtime/io/safetensors.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <thread>

#include <doctest/doctest.h>
#include <unistd.h>

#include "runtime/tensor/convert.h"
#include "tests/support/failure.h"
#include "tests/support/scratch_folder.h"

using namespace longsight;
using namespace longsight::io;

namespace {

std::string length_bytes(u64 length) {
  std::string bytes(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(length >> (8 * i) & 0xFF);
  return bytes;
}

std::string file_bytes(const std::string& header, const std::string& data) {
  return length_bytes(header.size()) + header + data;
}

// Why a file with this header and so many bytes of data is refused; empty if it is not.
std::string refusal_of_bytes(const std::string& bytes) {
  const ScratchFolder folder;
  const std::string path = folder.write("x.safetensors", bytes);
  const Failure failure = failure_of([&] { SafetensorsFile file(path); });
  if (failure.message.empty()) return "";
  CHECK(failure.code == ExitCode::bad_data);
  CHECK(failure.message.starts_with(path + ": "));
  CHECK(failure.message.size() < path.size() + 400);
  return failure.message.substr(path.size() + 2);
}

std::string header_refusal(const std::string& header, std::size_t data = 0) {
  return refusal_of_bytes(file_bytes(header, std::string(data, 'd')));
}

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets +
         "}";
}

OwnedTensor counted(Shape shape, float first = 0) {
  OwnedTensor x(DType::F32, shape);
  std::iota(x->host<float>(), x->host<float>() + x->elements(), first);
  return x;
}

template <class T>
std::vector<T> values_of(const Tensor& x) {
  return {x.host<T>(), x.host<T>() + x.elements()};
}

}  // namespace

TEST_CASE("tensors of every type are read back as they were written") {
  const ScratchFolder folder;
  const std::string path = folder / "x.safetensors";
  const OwnedTensor f32 = counted({2, 3}), f64(DType::F64, {}), i64s(DType::I64, {2}),
                    i32s(DType::I32, {1, 1}), u8(DType::U8, {3}), empty(DType::F32, {4, 0}),
                    scalar = counted({}, 7);
  f64->host<double>()[0] = 0.1;
  i64s->host<std::int64_t>()[1] = std::numeric_limits<std::int64_t>::min();
  i32s->host<std::int32_t>()[0] = -5;
  u8->host<std::uint8_t>()[2] = 255;
  const std::vector<NamedTensor> tensors{
      {"a.weight", f32, DType::F32},  {"f64", f64, DType::F64},
      {"i64", i64s, DType::I64},      {"i32", i32s, DType::I32},
      {"u8", u8, DType::U8},          {"empty", empty, DType::F32},
      {"scalar", scalar, DType::F32}, {"näme \"quoted\" \\", f32, DType::F32}};
  write_safetensors(path, tensors);
  const SafetensorsFile file(path);
  CHECK(file.entries().size() == tensors.size());
  CHECK(file.metadata() == Metadata{{"format", "pt"}});
  CHECK(file.path() == path);
  for (const NamedTensor& tensor : tensors) {
    CAPTURE(tensor.name);
    const TensorEntry* found = file.find(tensor.name);
    REQUIRE(found != nullptr);
    CHECK(found->dtype == tensor.as_stored);
    CHECK(found->shape == tensor.value.shape());
    CHECK(found->end - found->begin == tensor.value.bytes());
    CHECK(found->begin % size_of(tensor.as_stored) == 0);  // PyTorch cannot read what lies at an odd address
    const OwnedTensor back = file.read(tensor.name);
    CHECK(back->dtype() == tensor.as_stored);
    CHECK(std::equal(static_cast<const char*>(back->data()),
                     static_cast<const char*>(back->data()) + back->bytes(),
                     static_cast<const char*>(tensor.value.data())));
  }
  CHECK(file.find("a") == nullptr);
  CHECK(std::is_sorted(file.entries().begin(), file.entries().end(),
                       [](const auto& a, const auto& b) { return a.name < b.name; }));
}

TEST_CASE("the bytes written are those of the format, in the order given, wider types first") {
  const ScratchFolder folder;
  const OwnedTensor a = counted({2}, 1), b(DType::U8, {3}), c = counted({1}, 5);
  b->host<std::uint8_t>()[0] = 'B';
  const std::vector<NamedTensor> tensors{
      {"b", b, DType::U8}, {"z", a, DType::F32}, {"c", c, DType::BF16}, {"a", c, DType::F32}};
  write_safetensors(folder / "x", tensors);
  std::string header =
      "{\"__metadata__\":{\"format\":\"pt\"},\"z\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
      "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12]},\"c\":{\"dtype\":\"BF16\",\"shape\":["
      "1],\"data_offsets\":[12,14]},"
      "\"b\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[14,17]}}";
  while (header.size() % 8 != 0) header += ' ';
  const std::string data(
      "\0\0\x80\x3F\0\0\0\x40\0\0\xA0\x40\xA0\x40"
      "B\0\0",
      17);
  CHECK(contents_of(folder / "x") == file_bytes(header, data));

  write_safetensors(folder / "y", tensors);
  CHECK(contents_of(folder / "x") == contents_of(folder / "y"));
  write_safetensors(folder / "none", std::span<const NamedTensor>(), {});
  CHECK(contents_of(folder / "none") == file_bytes("{}      ", ""));
  CHECK(SafetensorsFile(folder / "none").entries().empty());
}

TEST_CASE("metadata are written in order of their keys and read back") {
  const ScratchFolder folder;
  const Metadata metadata{{"step", "3"}, {"a \"key\"", "ü\n"}};
  write_safetensors(folder / "x", {}, metadata);
  CHECK(SafetensorsFile(folder / "x").metadata() == metadata);
  CHECK(
      contains(contents_of(folder / "x"), "{\"__metadata__\":{\"a \\\"key\\\"\":\"ü\\n\",\"step\":\"3\"}}"));
}

TEST_CASE("all 65,536 bf16 and f16 values are exact in f32 and f64, and go back into the same file") {
  const ScratchFolder folder;
  for (const DType dtype : {DType::BF16, DType::F16}) {
    const OwnedTensor all(dtype, {65536});
    auto* bits = static_cast<std::uint16_t*>(all->data());
    std::iota(bits, bits + 65536, std::uint16_t{0});
    write_safetensors(folder / "a", std::vector<NamedTensor>{{"x", all, dtype}});
    const SafetensorsFile file(folder / "a");
    const OwnedTensor f32(DType::F32, {65536}), f64(DType::F64, {65536});
    file.read("x", f32);
    file.read("x", f64);
    int wrong = 0;
    for (int i = 0; i < 65536; ++i) {
      const auto pattern = static_cast<std::uint16_t>(i);
      const float expected = dtype == DType::BF16 ? float(bf16::of_bits(pattern)) : f32_from_f16(pattern);
      const float read = f32->host<float>()[i];
      const double wide = f64->host<double>()[i];
      wrong += std::isnan(expected)
                   ? !std::isnan(read) || !std::isnan(wide)
                   : std::bit_cast<std::uint32_t>(read) != std::bit_cast<std::uint32_t>(expected) ||
                         wide != expected;
      if (std::isnan(expected)) bits[i] = bits[0];  // a NaN may come back as another one
    }
    CHECK(wrong == 0);
    for (int i = 0; i < 65536; ++i) {
      if (std::isnan(f32->host<float>()[i])) f32->host<float>()[i] = f64->host<double>()[i] = 0;
    }
    write_safetensors(folder / "a", std::vector<NamedTensor>{{"x", all, dtype}});
    write_safetensors(folder / "b", std::vector<NamedTensor>{{"x", f32, dtype}});
    write_safetensors(folder / "c", std::vector<NamedTensor>{{"x", f64, dtype}});
    CHECK(contents_of(folder / "a") == contents_of(folder / "b"));
    CHECK(contents_of(folder / "a") == contents_of(folder / "c"));
  }
}

TEST_CASE("conversion of a tensor larger than the buffer is the same as of its parts") {
  const ScratchFolder folder;
  const i64 count = (i64{1} << 20) * 2 + 12345;
  const OwnedTensor x = counted({count});
  write_safetensors(folder / "x", std::vector<NamedTensor>{{"x", x, DType::F64}});
  const SafetensorsFile file(folder / "x");
  const OwnedTensor back(DType::F32, {count});
  file.read("x", back);
  CHECK(values_of<float>(back) == values_of<float>(x));
  const OwnedTensor part(DType::F32, {10, 10});
  file.read_range("x", count - 100, part);
  CHECK(part->host<float>()[0] == static_cast<float>(count - 100));
  CHECK(part->host<float>()[99] == static_cast<float>(count - 1));
}

TEST_CASE("a range of a tensor is read, and nothing beyond it") {
  const ScratchFolder folder;
  const OwnedTensor x = counted({4, 5});
  write_safetensors(folder / "x", std::vector<NamedTensor>{{"x", x, DType::F32}, {"y", x, DType::F32}});
  const SafetensorsFile file(folder / "x");
  const OwnedTensor part(DType::F32, {3});
  file.read_range("x", 17, part);
  CHECK(values_of<float>(part) == std::vector<float>{17, 18, 19});
  CHECK(failure_of([&] { file.read_range("x", 18, part); }).code == ExitCode::internal);
  CHECK(failure_of([&] { file.read_range("x", -1, part); }).code == ExitCode::internal);
}

TEST_CASE("reading what is not there, of another shape or type is an error with both names") {
  const ScratchFolder folder;
  const std::string path = folder / "x.safetensors";
  const OwnedTensor x = counted({2, 3}), ids(DType::I64, {2, 3});
  write_safetensors(path,
                    std::vector<NamedTensor>{{"layer.weight", x, DType::F32}, {"ids", ids, DType::I64}});
  const SafetensorsFile file(path);
  const auto refused = [&](const std::string& name, DType dtype, Shape shape, const std::string& message) {
    CHECK(failure_of([&] { file.read(name, OwnedTensor(dtype, shape)); }) ==
          Failure{ExitCode::bad_data, path + ": " + message});
  };
  refused("layer.wieght", DType::F32, {2, 3}, "no tensor \"layer.wieght\", but \"layer.weight\"");
  refused("something.else", DType::F32, {2, 3}, "no tensor \"something.else\"");
  refused("layer.weight", DType::F32, {3, 2}, "tensor \"layer.weight\" is [2, 3], expected [3, 2]");
  refused("layer.weight", DType::F32, {6}, "tensor \"layer.weight\" is [2, 3], expected [6]");
  refused("layer.weight", DType::I64, {2, 3}, "tensor \"layer.weight\" is f32, expected i64");
  refused("ids", DType::F32, {2, 3}, "tensor \"ids\" is i64, expected f32");
  refused("ids", DType::I32, {2, 3}, "tensor \"ids\" is i64, expected i32");
  CHECK(failure_of([&] { file.read("none"); }).code == ExitCode::bad_data);
  CHECK(failure_of([&] { SafetensorsFile(folder / "no"); }) ==
        Failure{ExitCode::missing_input, "cannot read " + (folder / "no") + ": No such file or directory"});
  CHECK(failure_of([&] { SafetensorsFile(folder.path()); }).code == ExitCode::missing_input);
}

TEST_CASE("types that cannot be read are listed, and an error only when read") {
  const ScratchFolder folder;
  std::string header = "{" + entry("ok", "U8", "[1]", "[0,1]");
  i64 at = 1;
  for (const auto& [dtype, bytes] :
       std::map<std::string, i64>{{"BOOL", 1}, {"I8", 1}, {"I16", 2}, {"U16", 2}, {"U32", 4}, {"U64", 8}}) {
    header += "," + entry(dtype, dtype, "[3]", fmt::format("[{},{}]", at, at + 3 * bytes));
    at += 3 * bytes;
  }
  const std::string path =
      folder.write("x", file_bytes(header + "}", std::string(static_cast<std::size_t>(at), 'd')));
  const SafetensorsFile file(path);
  CHECK(file.entries().size() == 7);
  CHECK(file.find("U16")->stored_as == "U16");
  CHECK(!file.find("U16")->dtype.has_value());
  CHECK(file.read("ok")->host<std::uint8_t>()[0] == 'd');
  CHECK(failure_of([&] { file.read("U16"); }) ==
        Failure{ExitCode::bad_data, path + ": tensor \"U16\" has the type U16, which cannot be read"});
  CHECK(failure_of([&] { file.read("BOOL", OwnedTensor(DType::U8, {3})); }).code == ExitCode::bad_data);
}

TEST_CASE("empty and 0-rank tensors, no tensors and trailing spaces are legal") {
  CHECK(header_refusal("{}").empty());
  CHECK(header_refusal("{}   ").empty());
  CHECK(header_refusal("{\"__metadata__\":{}}").empty());
  CHECK(header_refusal("{" + entry("a", "F32", "[]", "[0,4]") + "}  ", 4).empty());
  CHECK(header_refusal("{" + entry("a", "F32", "[0]", "[0,0]") + "}").empty());
  CHECK(header_refusal("{" + entry("a", "F32", "[0,9223372036854775807]", "[0,0]") + "}").empty());
  CHECK(header_refusal("{" + entry("e", "F32", "[3,0]", "[4,4]") + "," + entry("a", "F32", "[1]", "[0,4]") +
                           "," + entry("b", "F32", "[1]", "[4,8]") + "}",
                       8)
            .empty());
  CHECK(header_refusal(
            "{ \"a\" : { \"shape\" : [ 1 , 1 , 1 , 1 , 1 ] , \"data_offsets\" : [ 0 , 2 ] , \"dtype\" : "
            "\"F16\" } }",
            2)
            .empty());
  CHECK(header_refusal("{" + entry("", "U8", "[1]", "[0,1]") + "}", 1).empty());
  CHECK(header_refusal("{" + entry(std::string(512, 'n'), "U8", "[1]", "[0,1]") + "}", 1).empty());
}

TEST_CASE("the length of the header must be believable") {
  CHECK(refusal_of_bytes("") == "0 bytes are no safetensors file");
  CHECK(refusal_of_bytes("1234567") == "7 bytes are no safetensors file");
  CHECK(contains(refusal_of_bytes(length_bytes(0)), "the header does not begin with {"));
  CHECK(refusal_of_bytes(length_bytes(3) + "{}") == "a header of 3 bytes in a file of 10");
  CHECK(contains(refusal_of_bytes(length_bytes(100'000'001) + "{}"),
                 "a header of 100000001 bytes, at most 100000000 are allowed"));
  CHECK(
      contains(refusal_of_bytes(length_bytes(u64{1} << 63) + "{}"), "a header of 9223372036854775808 bytes"));
  CHECK(contains(refusal_of_bytes(length_bytes(~u64{0}) + "{}"), "a header of 18446744073709551615 bytes"));
  CHECK(refusal_of_bytes(length_bytes(100'000'000) + "{}") == "a header of 100000000 bytes in a file of 10");
}

TEST_CASE("the header must be one JSON object of the right form") {
  const std::string good = entry("a", "U8", "[1]", "[0,1]");
  CHECK(header_refusal("{" + good + "}", 1).empty());
  for (const char* header : {"[]", "\"a\"", "3", "null", " {}", "\n{}", "\xEF\xBB\xBF{}", "x"}) {
    CAPTURE(header);
    CHECK(header_refusal(header) == "the header does not begin with {");
  }
  for (const char* header : {"{", "{}}", "{} x", "{}{}", "{\"a\"}", "{,}", "{\"a\":1,}", "{\"a\" {}}",
                             "{}\x01", "{// c\n}", "{\"\xFF\":1}"}) {
    CAPTURE(header);
    CHECK(!header_refusal(header).empty());
  }
  CHECK(header_refusal("{} x") == "the header is not valid JSON at byte 4 of it");
  CHECK(header_refusal(std::string("{}\0", 3)) == "a NUL byte in the header");  // for nlohmann the end
  CHECK(header_refusal("{\"a\":3}") == "tensor \"a\" in the header: a number is not expected here");
  CHECK(header_refusal("{\"a\":null}") == "tensor \"a\" in the header: null is not expected here");
  CHECK(header_refusal("{\"a\":[]}") == "tensor \"a\" in the header: a list is not expected here");
  CHECK(header_refusal("{\"a\":\"b\"}") == "tensor \"a\" in the header: a string is not expected here");
  CHECK(header_refusal("{\"a\":{}}") == "tensor \"a\" in the header: no dtype");
  CHECK(header_refusal("{\"a\":{\"dtype\":{}}}") ==
        "tensor \"a\" in the header: an object is not expected here");
  CHECK(header_refusal("{\"a\":{\"dtype\":[\"F32\"]}}") ==
        "tensor \"a\" in the header: a list is not expected here");
  CHECK(header_refusal("{\"a\":{\"dtype\":3}}") ==
        "tensor \"a\" in the header: a number is not expected here");
  CHECK(header_refusal("{\"a\":{\"shape\":\"[1]\"}}") ==
        "tensor \"a\" in the header: a string is not expected here");
  CHECK(header_refusal("{\"a\":{\"shape\":1}}") ==
        "tensor \"a\" in the header: a number is not expected here");
  CHECK(header_refusal("{\"a\":{\"shape\":[[1]]}}") ==
        "tensor \"a\" in the header: a list is not expected here");
  CHECK(header_refusal("{\"a\":{\"shape\":[{}]}}") ==
        "tensor \"a\" in the header: an object is not expected here");
  CHECK(header_refusal("{\"a\":{\"shape\":[true]}}") ==
        "tensor \"a\" in the header: true or false is not expected here");
  CHECK(header_refusal("{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1) ==
        "tensor \"a\" in the header: no two data_offsets");
  CHECK(header_refusal("{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1) ==
        "tensor \"a\" in the header: no shape");
  CHECK(header_refusal("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"x\":1}}", 1) ==
        "tensor \"a\" in the header: unknown field \"x\"");
  CHECK(header_refusal("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
                       1) == "tensor \"a\" in the header: dtype is there twice");
  CHECK(header_refusal("{" + entry("a", "F8", "[1]", "[0,1]") + "}", 1) ==
        "tensor \"a\" in the header: unknown dtype \"F8\"");
  CHECK(header_refusal("{" + entry("a", "f32", "[1]", "[0,4]") + "}", 4) ==
        "tensor \"a\" in the header: unknown dtype \"f32\"");
  CHECK(contains(header_refusal("{" + std::string(100'000, '[') + "}"), "not valid JSON"));
  CHECK(contains(header_refusal("{\"a\":" + std::string(100'000, '{')), "not valid JSON"));
}

TEST_CASE("a hostile header costs no more memory than it has to") {
  std::string longest;
  for (i64 i = 0; i < (i64{8} << 20); ++i) longest += "\\\"";  // 16 MiB of escaped quotes
  CHECK(header_refusal("{\"__metadata__\":{\"a\":\"" + longest + "\"}}").empty());
  CHECK(header_refusal("{\"__metadata__\":{\"a\":\"" + longest + "x\"}}") ==
        "a string or number of more than 16777216 bytes in the header");
  CHECK(header_refusal("{\"a\":" + std::string(17'000'000, '1') + "}") ==
        "a string or number of more than 16777216 bytes in the header");
  std::string many = "{\"__metadata__\":{\"k\":\"\"";
  for (int i = 0; i < 65536; ++i) many += fmt::format(",\"{}\":\"\"", i);
  CHECK(header_refusal(many + "}}") == "entry \"__metadata__\" in the header: too much metadata");
  std::string tensors = "{" + entry("first", "U8", "[0]", "[0,0]");
  for (int i = 1; i < 1 << 18; ++i) tensors += "," + entry(fmt::format("{}", i), "U8", "[0]", "[0,0]");
  CHECK(header_refusal(tensors + "}").empty());
  CHECK(header_refusal(tensors + "," + entry("last", "U8", "[0]", "[0,0]") + "}") ==
        "tensor \"last\" in the header: more than 262144 tensors");
}

TEST_CASE("metadata are texts, once") {
  CHECK(header_refusal("{\"__metadata__\":{\"a\":\"b\",\"c\":\"d\"}}").empty());
  CHECK(header_refusal("{\"__metadata__\":{\"a\":1}}") ==
        "entry \"__metadata__\" in the header: a number is not expected here");
  CHECK(header_refusal("{\"__metadata__\":{\"a\":{}}}") ==
        "entry \"__metadata__\" in the header: an object is not expected here");
  CHECK(header_refusal("{\"__metadata__\":null}") ==
        "entry \"__metadata__\" in the header: null is not expected here");
  CHECK(header_refusal("{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}") ==
        "entry \"__metadata__\" in the header: metadata \"a\" twice");
  CHECK(header_refusal("{\"__metadata__\":{},\"__metadata__\":{}}") ==
        "entry \"__metadata__\" in the header: it is there twice");
}

TEST_CASE("names are unique, short and without control characters") {
  const auto two = [](const std::string& a, const std::string& b) {
    return "{" + entry(a, "U8", "[1]", "[0,1]") + "," + entry(b, "U8", "[1]", "[1,2]") + "}";
  };
  CHECK(header_refusal(two("a", "b"), 2).empty());
  CHECK(header_refusal(two("a", "a"), 2) == "tensor \"a\" is in the header twice");
  CHECK(header_refusal(two("a", "\\u0061"), 2) == "tensor \"a\" is in the header twice");
  CHECK(contains(header_refusal(two("a", std::string(513, 'n')), 2),
                 "a name of 513 bytes, at most 512 are allowed"));
  for (const char* name : {"\\u0000", "a\\nb", "\\u001b[31m", "\\u007f", "\\u0085", "\xC2\x9F"}) {
    CAPTURE(name);
    const std::string message = header_refusal(two("a", name), 2);
    CHECK(contains(message, "a control character in its name"));
    CHECK(std::none_of(message.begin(), message.end(), [](char c) { return c >= 0 && c < 0x20; }));
  }
  CHECK(header_refusal(two("a", "\\u00a0é😀"), 2).empty());
}

TEST_CASE("numbers are integers from 0 up") {
  for (const char* number : {"-1", "1.0", "1e0", "-0", "18446744073709551616", "0.5"}) {
    CAPTURE(number);
    CHECK(!header_refusal("{" + entry("a", "U8", std::string("[") + number + "]", "[0,1]") + "}", 1).empty());
    CHECK(!header_refusal("{" + entry("a", "U8", "[1]", std::string("[0,") + number + "]") + "}", 1).empty());
  }
  CHECK(header_refusal("{" + entry("a", "U8", "[-1]", "[0,1]") + "}", 1) ==
        "tensor \"a\" in the header: a negative number is not expected here");
  CHECK(header_refusal("{" + entry("a", "U8", "[1]", "[0,1,2]") + "}", 1) ==
        "tensor \"a\" in the header: more than two data_offsets");
  CHECK(header_refusal("{" + entry("a", "U8", "[1]", "[0]") + "}", 1) ==
        "tensor \"a\" in the header: no two data_offsets");
  CHECK(header_refusal("{" + entry("a", "U8", "[1,1,1,1,1,1]", "[0,1]") + "}", 1) ==
        "tensor \"a\" in the header: more than 5 dimensions");
}

TEST_CASE("a shape whose product does not fit in 64 bits is refused") {
  for (const char* shape : {"[4294967296,4294967296]", "[4611686018427387904,4]", "[9223372036854775808]",
                            "[0,9223372036854775808]", "[18446744073709551615,18446744073709551615]",
                            "[4294967296,4294967296,0]", "[4611686018427387905]"}) {
    CAPTURE(shape);
    CHECK(header_refusal("{" + entry("a", "F32", shape, "[0,4]") + "}", 4) ==
          "tensor \"a\" in the header: the product of the shape does not fit in 64 bits");
  }
}

TEST_CASE("offsets cover the data from 0 to the end of the file, without hole or overlap") {
  const auto file = [](const std::string& a, const std::string& b, std::size_t data) {
    return header_refusal("{" + entry("a", "F32", "[2]", a) + "," + entry("b", "F32", "[1]", b) + "}", data);
  };
  CHECK(file("[0,8]", "[8,12]", 12).empty());
  CHECK(file("[4,12]", "[0,4]", 12).empty());  // in any order
  CHECK(file("[0,8]", "[12,16]", 16) ==
        "tensor \"b\" begins at byte 12 of the data, but the one before it ends at 8");
  CHECK(file("[0,8]", "[4,8]", 8) ==
        "tensor \"b\" begins at byte 4 of the data, but the one before it ends at 8");
  CHECK(file("[4,12]", "[12,16]", 16) ==
        "tensor \"a\" begins at byte 4 of the data, but the one before it ends at 0");
  CHECK(contains(file("[0,8]", "[8,12]", 13), "the tensors end at byte "));
  CHECK(file("[0,8]", "[8,12]", 11) ==
        "tensor \"b\" in the header: data_offsets [8, 12] in a file with 11 bytes of data");
  CHECK(file("[0,8]", "[12,8]", 12) ==
        "tensor \"b\" in the header: data_offsets [12, 8] in a file with 12 bytes of data");
  CHECK(file("[0,7]", "[7,11]", 11) ==
        "tensor \"a\" in the header: F32 [2] takes 8 bytes, but data_offsets have 7");
  CHECK(file("[0,8]", "[18446744073709551612,18446744073709551615]", 12) ==
        "tensor \"b\" in the header: data_offsets [18446744073709551612, 18446744073709551615] in a file "
        "with 12 bytes of data");
  CHECK(header_refusal(
            "{" + entry("e", "F32", "[0]", "[3,3]") + "," + entry("b", "F32", "[1]", "[0,4]") + "}", 4) ==
        "tensor \"e\" begins at byte 3 of the data, but the one before it ends at 4");
  CHECK(contains(header_refusal("{}", 1), "the tensors end at byte 10, the file at 11"));
}

TEST_CASE(
    "a file cut or lengthened anywhere, or with any bit of the header flipped, is refused or says the same") {
  const ScratchFolder folder;
  const std::string path = folder / "good", bad = folder / "bad";
  const OwnedTensor a = counted({2, 3}), b = counted({4});
  write_safetensors(path, std::vector<NamedTensor>{{"a.weight", a, DType::F32}, {"b.bias", b, DType::BF16}});
  const std::string good = contents_of(path);
  const SafetensorsFile original(path);

  for (std::size_t size = 0; size < good.size(); ++size) {
    folder.write("bad", std::string_view(good).substr(0, size));
    CHECK(failure_of([&] { SafetensorsFile file(bad); }).code == ExitCode::bad_data);
  }
  folder.write("bad", good + '\0');
  CHECK(failure_of([&] { SafetensorsFile file(bad); }).code == ExitCode::bad_data);

  int accepted = 0;
  const std::size_t header_end = static_cast<std::size_t>(original.find("a.weight")->begin);
  for (std::size_t byte = 0; byte < header_end; ++byte) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = good;
      flipped[byte] = static_cast<char>(flipped[byte] ^ 1 << bit);
      folder.write("bad", flipped);
      const Failure failure = failure_of([&] {
        // Only letters of names and metadata can change unnoticed: types, shapes and places are those of the
        // original.
        const SafetensorsFile file(bad);
        ++accepted;
        REQUIRE(file.entries().size() == 2);
        for (const TensorEntry& entry : file.entries()) {
          const TensorEntry* same =
              original.find(entry.begin == static_cast<i64>(header_end) ? "a.weight" : "b.bias");
          CHECK(entry.dtype == same->dtype);
          CHECK(entry.shape == same->shape);
          CHECK(entry.begin == same->begin);
          CHECK(entry.end == same->end);
        }
      });
      CHECK((failure.code == ExitCode::done || failure.code == ExitCode::bad_data));
    }
  }
  // 8 + 6 letters of names, 6 + 2 of the metadata; and "__metadata__" itself cannot become a tensor. At most
  // all 7 low bits of each.
  CHECK(accepted > 0);
  CHECK(accepted <= 22 * 7);
}

TEST_CASE("a file that is cut while it is open is an error, not a crash") {
  const ScratchFolder folder;
  const std::string path = folder / "x";
  write_safetensors(path, std::vector<NamedTensor>{{"x", counted({1000}), DType::F32}});
  const SafetensorsFile file(path);
  REQUIRE(::truncate(path.c_str(), file.find("x")->begin + 100) == 0);
  const Failure failure = failure_of([&] { file.read("x"); });
  CHECK(failure.code == ExitCode::bad_data);
  CHECK(contains(failure.message, path + " ends at byte "));
}

TEST_CASE("threads read one file at the same time") {
  const ScratchFolder folder;
  std::vector<OwnedTensor> values;
  std::vector<NamedTensor> tensors;
  for (int i = 0; i < 8; ++i) {
    values.push_back(counted({1000}, static_cast<float>(1000 * i)));
    tensors.push_back({fmt::format("t{}", i), values.back(), DType::F64});
  }
  write_safetensors(folder / "x", tensors);
  const SafetensorsFile file(folder / "x");
  std::vector<int> right(8, 0);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int repeat = 0; repeat < 50; ++repeat) {
        const OwnedTensor into(DType::F32, {1000});
        file.read(tensors[t].name, into);
        right[t] += values_of<float>(into) == values_of<float>(values[t]);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(right == std::vector<int>(8, 50));
}

TEST_CASE("a failed write leaves nothing behind") {
  const ScratchFolder folder;
  const OwnedTensor x = counted({2});
  CHECK(failure_of([&] {
          write_safetensors(folder / "none/x", std::vector<NamedTensor>{{"x", x, DType::F32}});
        }).code == ExitCode::cannot_write);
  CHECK(
      failure_of([&] {
        write_safetensors(folder / "x", std::vector<NamedTensor>{{"x", x, DType::F32}, {"x", x, DType::F32}});
      }).code == ExitCode::internal);
  CHECK(failure_of([&] {
          write_safetensors(folder / "x", std::vector<NamedTensor>{{"a\nb", x, DType::F32}});
        }).code == ExitCode::internal);
  CHECK(failure_of([&] {
          write_safetensors(folder / "x", std::vector<NamedTensor>{{"__metadata__", x, DType::F32}});
        }).code == ExitCode::internal);
  CHECK(failure_of([&] {
          write_safetensors(folder / "x", std::vector<NamedTensor>{{"x", x, DType::I64}});
        }).code == ExitCode::internal);
  {
    SafetensorsWriter writer(folder / "x", {{"a", {2}, DType::F32}, {"b", {2}, DType::F32}});
    CHECK(failure_of([&] { writer.write("b", x); }).code == ExitCode::internal);  // out of turn
    writer.write("a", x);
    CHECK(failure_of([&] { writer.commit(); }).code == ExitCode::internal);  // b is missing
    CHECK(failure_of([&] { writer.write("b", counted({3})); }).code == ExitCode::internal);
  }
  CHECK(folder.entries() == 0);
}

TEST_CASE("a golden checkpoint is read, and written with the bytes of the reference implementation") {
  const std::string path = "tests/goldens/llava-clip-llama/model/model.safetensors";
  if (!std::filesystem::exists(path)) {
    MESSAGE("skipped: no " << path);
    return;
  }
  const SafetensorsFile file(path);
  CHECK(file.metadata() == Metadata{{"format", "pt"}});
  std::vector<TensorEntry> entries = file.entries();
  std::sort(entries.begin(), entries.end(),
            [](const TensorEntry& a, const TensorEntry& b) { return a.begin < b.begin; });
  std::vector<OwnedTensor> values;
  std::vector<NamedTensor> tensors;
  for (const TensorEntry& entry : entries) {
    values.push_back(file.read(entry.name));
    tensors.push_back({entry.name, values.back(), *entry.dtype});
  }
  const ScratchFolder folder;
  write_safetensors(folder / "again", tensors);
  CHECK(contents_of(folder / "again") == contents_of(path));
}
