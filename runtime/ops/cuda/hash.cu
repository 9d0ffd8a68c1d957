// XXH3-128 (Collet, xxHash specification) of a long input: blocks of 1,024 bytes are 16 stripes of 64, whose
// sums do not depend on each other; then one warp goes through the sums of all blocks, and ends with the last
// stripes. What is short takes other ways, which the host goes.
#include <bit>
#include <cstring>

// The library's own secret has no other name.
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "runtime/ops/cuda/hash.h"
#include "runtime/ops/cuda/views.h"

namespace longsight::ops::cuda {
namespace {

constexpr i64 kStripe = 64, kBlock = 1024, kShort = 240;
constexpr int kLanes = 8;          // numbers of 64 bits that are added up
constexpr i64 kSecretBytes = 192;  // mixed in: 8 bytes further on for each stripe

constexpr std::uint64_t kPrime32_1 = 0x9E3779B1, kPrime32_2 = 0x85EBCA77, kPrime32_3 = 0xC2B2AE3D;
constexpr std::uint64_t kPrime64_1 = 0x9E3779B185EBCA87, kPrime64_2 = 0xC2B2AE3D27D4EB4F,
                        kPrime64_3 = 0x165667B19E3779F9, kPrime64_4 = 0x85EBCA77C2B2AE63,
                        kPrime64_5 = 0x27D4EB2F165667C5;

struct Secret {
  LANE_FN std::uint64_t at(i64 byte) const {
    std::uint64_t word = 0;
    for (int i = 7; i >= 0; --i) word = word << 8 | bytes[byte + i];
    return word;
  }
  unsigned char bytes[kSecretBytes];
};

// The 8 bytes at an address of which less is known.
LANE_FN std::uint64_t word_at(const unsigned char* from, bool aligned) {
  if (aligned) return *reinterpret_cast<const std::uint64_t*>(from);
  std::uint64_t word = 0;
  for (int i = 7; i >= 0; --i) word = word << 8 | from[i];
  return word;
}

LANE_FN std::uint64_t product_of_halves(std::uint64_t x) {
  return (x & 0xFFFFFFFF) * (x >> 32);
}

// Of a stripe, what thread `i` of its eight adds to its own number and to that of its neighbour.
struct Added {
  std::uint64_t own, neighbour;
};
LANE_FN Added added(const unsigned char* stripe, bool aligned, const Secret& secret, i64 secret_byte, int i) {
  const std::uint64_t word = word_at(stripe + 8 * i, aligned);
  return {product_of_halves(word ^ secret.at(secret_byte + 8 * i)), word};
}

// sums [blocks, 8]: eight threads for each block.
struct BlockSums {
  template <class Lane>
  LANE_FN void operator()(Lane& lane) const {
    const i64 item = lane.block() * lane.threads() + lane.thread();
    const i64 block = item / kLanes;
    const int i = static_cast<int>(item % kLanes);
    Added sum{0, 0};
    for (int stripe = 0; block < blocks && stripe < kBlock / kStripe; ++stripe) {
      const Added more = added(data + block * kBlock + stripe * kStripe, aligned, secret, 8 * stripe, i);
      sum = {sum.own + more.own, sum.neighbour + more.neighbour};
    }
    sum.own += lane.shuffle_xor(sum.neighbour, 1);
    if (block < blocks) sums[block * kLanes + i] = sum.own;
  }
  std::uint64_t* sums;
  const unsigned char* data;
  i64 blocks;
  bool aligned;
  Secret secret;
};

LANE_FN std::uint64_t folded_product(std::uint64_t a, std::uint64_t b) {
  const std::uint64_t low = (a & 0xFFFFFFFF) * (b & 0xFFFFFFFF), high = (a >> 32) * (b >> 32);
  const std::uint64_t cross = (a >> 32) * (b & 0xFFFFFFFF), other = (a & 0xFFFFFFFF) * (b >> 32);
  const std::uint64_t middle = (low >> 32) + (cross & 0xFFFFFFFF) + other;
  return (middle << 32 | (low & 0xFFFFFFFF)) ^ (high + (cross >> 32) + (middle >> 32));
}

struct Finish {
  // Of all eight numbers, which lie in shared memory.
  LANE_FN std::uint64_t merged(const std::uint64_t* numbers, i64 secret_byte, std::uint64_t start) const {
    std::uint64_t h = start;
    for (int pair = 0; pair < kLanes / 2; ++pair) {
      h += folded_product(numbers[2 * pair] ^ secret.at(secret_byte + 16 * pair),
                          numbers[2 * pair + 1] ^ secret.at(secret_byte + 16 * pair + 8));
    }
    h ^= h >> 37;
    h *= 0x165667919E3779F9;
    return h ^ h >> 32;
  }

  template <class Lane>
  LANE_FN void operator()(Lane& lane) const {
    const int i = lane.thread() % kLanes;  // four times the same: a warp is the least
    constexpr std::uint64_t kStart[kLanes] = {kPrime32_3, kPrime64_1, kPrime64_2, kPrime64_3,
                                              kPrime64_4, kPrime32_2, kPrime64_5, kPrime32_1};
    std::uint64_t number = kStart[i];
    const std::uint64_t key = secret.at(kSecretBytes - kStripe + 8 * i);
    for (i64 block = 0; block < blocks; ++block) {
      number += sums[block * kLanes + i];
      number = (number ^ number >> 47 ^ key) * kPrime32_1;
    }
    // Stripes behind the last whole block, and the last 64 bytes, some of which may have been seen.
    const i64 rest = (bytes - 1 - blocks * kBlock) / kStripe;
    for (i64 stripe = 0; stripe <= rest; ++stripe) {
      const bool last = stripe == rest;
      const Added more = added(last ? data + bytes - kStripe : data + blocks * kBlock + stripe * kStripe,
                               aligned && !last, secret, last ? kSecretBytes - kStripe - 7 : 8 * stripe, i);
      number += more.own + lane.shuffle_xor(more.neighbour, 1);
    }
    std::uint64_t* const numbers = lane.template shared<std::uint64_t>();
    if (lane.thread() < kLanes) numbers[i] = number;
    lane.sync();
    const auto length = static_cast<std::uint64_t>(bytes);
    if (lane.thread() == 0) out[0] = static_cast<i64>(merged(numbers, 11, length * kPrime64_1));
    if (lane.thread() == 1)
      out[1] = static_cast<i64>(merged(numbers, kSecretBytes - kStripe - 11, ~(length * kPrime64_2)));
  }
  i64* out;
  const std::uint64_t* sums;
  const unsigned char* data;
  i64 bytes, blocks;
  bool aligned;
  Secret secret;
};

struct WritePair {
  template <class Lane>
  LANE_FN void operator()(Lane& lane) const {
    if (lane.thread() == 0) {
      out[0] = low;
      out[1] = high;
    }
  }
  i64* out;
  i64 low, high;
};

}  // namespace

void hash(Tensor out, Tensor x, Stream stream) {
  const i64 bytes = x.bytes();
  check(x.backend() == Backend::cuda, "hash: memory of {} on a GPU", name_of(x.backend()));
  if (bytes <= kShort) {
    unsigned char values[kShort];
    lanes::copy_to_host(values, x.data(), bytes, stream);
    const XXH128_hash_t hash = XXH3_128bits(values, static_cast<std::size_t>(bytes));
    return launch(
        "hash", stream, {1, 32},
        WritePair{elements<i64>(out), std::bit_cast<i64>(hash.low64), std::bit_cast<i64>(hash.high64)});
  }
  Secret secret;
  XXH3_generateSecret_fromSeed(secret.bytes, 0);
  const auto* const data = static_cast<const unsigned char*>(x.data());
  const bool aligned = reinterpret_cast<std::uintptr_t>(data) % 8 == 0;
  const i64 blocks = (bytes - 1) / kBlock;
  const lanes::StreamArray<std::uint64_t> sums(blocks * kLanes, stream);
  launch("hash: blocks", stream, {ceil_div(blocks * kLanes, 256), 256},
         BlockSums{sums.data(), data, blocks, aligned, secret});
  launch("hash", stream, {1, 32, kLanes * 8},
         Finish{elements<i64>(out), sums.data(), data, bytes, blocks, aligned, secret});
}

}  // namespace longsight::ops::cuda
