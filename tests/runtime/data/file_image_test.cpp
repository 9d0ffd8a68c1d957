#include "runtime/data/file_image.h"

#include <cstring>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/failure.h"
#include "tests/support/scratch_folder.h"

using namespace longsight;
using namespace longsight::data;

namespace {

constexpr ImageLayout kLayout{.tiles = 1, .rows = 4, .columns = 4};
const std::string kImages = "tests/goldens/llava-clip-llama/images";

ImageRecipe recipe_of(i64 size) {
  ImageRecipe recipe;
  recipe.size = recipe.crop = {size, size};
  return recipe;
}

bool same(Tensor a, Tensor b) {
  return a.shape() == b.shape() && std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.bytes())) == 0;
}

}  // namespace

TEST_CASE("an image file gives the pixels of its recipe, shifted if asked for") {
  const ImageRecipe recipe = recipe_of(56);
  for (const Shift shift : {Shift{}, Shift{3, -2}}) {
    FileImage image({.path = kImages + "/photo.jpg"}, recipe, kLayout, shift);
    const OwnedTensor expected = pixel_values(recipe, decode_image_file(kImages + "/photo.jpg"), shift);
    CHECK(same(image.pixels(), expected));
  }
  FileImage plain({.path = kImages + "/photo.jpg"}, recipe, kLayout),
      shifted({.path = kImages + "/photo.jpg"}, recipe, kLayout, {3, -2});
  CHECK(!same(plain.pixels(), shifted.pixels()));
}

TEST_CASE("threads that ask at the same time get the same pixels, made once") {
  FileImage image({.path = kImages + "/shapes.png"}, recipe_of(56), kLayout);
  std::vector<Tensor> got(4);
  std::vector<std::thread> threads;
  for (Tensor& pixels : got) threads.emplace_back([&] { pixels = image.pixels(); });
  for (std::thread& thread : threads) thread.join();
  for (const Tensor& pixels : got) CHECK(pixels.data() == got[0].data());
  CHECK(got[0].shape() == Shape{3, 56, 56});
}

TEST_CASE("a file that is missing or broken fails each time that it is asked for, and is named") {
  const ScratchFolder folder;
  FileImage image({.path = folder / "late.png"}, recipe_of(56), kLayout);
  CHECK(failure_of([&] { image.pixels(); }).code == ExitCode::missing_input);
  folder.write("late.png", contents_of(kImages + "/shapes.png").substr(0, 300));
  const Failure broken = failure_of([&] { image.pixels(); });
  CHECK(broken.code == ExitCode::bad_data);
  CHECK(contains(broken.message, folder / "late.png"));
  folder.write("late.png", contents_of(kImages + "/shapes.png"));
  CHECK(image.pixels().shape() == Shape{3, 56, 56});
}
