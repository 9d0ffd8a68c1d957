#include "runtime/data/image/file_image.h"

#include <cstring>
#include <nlohmann/json.hpp>
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
  CHECK(got[0].shape() == Shape{1, 3, 56, 56});
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
  CHECK(image.pixels().shape() == Shape{1, 3, 56, 56});
}

TEST_CASE("an image in the middle of a shard, or in memory, is the same image") {
  const ScratchFolder folder;
  const ImageRecipe recipe = recipe_of(56);
  for (const std::string name : {"photo.jpg", "progressive.jpg", "exif6.jpg", "shapes.png", "palette.png"}) {
    CAPTURE(name);
    const std::string path = kImages + "/" + name, content = contents_of(path);
    FileImage plain({.path = path}, recipe, kLayout);
    // Another image directly behind it: one that reads on finds something that looks like more of it.
    const std::string shard = folder.write("shard.tar", std::string(700, 'x') + content + content);
    for (const MediaFile& media :
         {MediaFile{.path = shard, .offset = 700, .bytes = std::ssize(content)},
          MediaFile{.path = shard, .offset = 700 + std::ssize(content)},
          MediaFile{.path = "inline", .content = std::make_shared<const std::string>(content)}}) {
      CHECK(read_image_size(media) == read_image_size(path));
      FileImage image(media, recipe, kLayout);
      CHECK(same(image.pixels(), plain.pixels()));
    }
  }
}

TEST_CASE("a part that the file does not hold, or that ends inside the image, names shard and place") {
  const ScratchFolder folder;
  const std::string content = contents_of(kImages + "/photo.jpg");
  const std::string shard = folder.write("shard.tar", std::string(10, 'x') + content);
  const auto failure = [&](i64 offset, i64 bytes) {
    return failure_of([&] { decode_image_file(MediaFile{.path = shard, .offset = offset, .bytes = bytes}); });
  };
  CHECK(failure(10, std::ssize(content)).code == ExitCode::done);
  CHECK(failure(10, std::ssize(content) + 1).code == ExitCode::bad_data);
  CHECK(failure(std::ssize(content) + 11, -1).code == ExitCode::bad_data);
  const Failure cut = failure(10, std::ssize(content) - 40);
  CHECK(cut.code == ExitCode::bad_data);
  CHECK(contains(cut.message, shard + " at byte 10: corrupt JPEG"));
  CHECK(failure(11, -1).code == ExitCode::bad_data);
  const Failure missing = failure_of([] { read_image_size(MediaFile{.path = "no.tar", .offset = 5}); });
  CHECK(missing.code == ExitCode::missing_input);
  CHECK(contains(missing.message, "no.tar at byte 5"));
}

TEST_CASE("the layout of an image is read from its header, and its pixels have it") {
  const ImageRecipe qwen =
      image_recipe_from_json({{"image_processor_type", "Qwen2VLImageProcessor"}}, "qwen");
  const MediaFile file{.path = kImages + "/exif6.jpg"};  // stored 44 x 70, turned upright 70 x 44
  const MediaLayout media = read_media_layout({file}, qwen);
  CHECK(media.size == ImageSize{70, 44});
  CHECK(media.layout == image_layout(qwen, {70, 44}));
  FileImage image(file, qwen, media.layout);
  CHECK(image.pixels().shape() == Shape{media.layout.patches(), 1176});
  const MediaLayout stored = read_media_layout({file}, qwen, {.exif_orientation = false});
  CHECK(stored.size == ImageSize{44, 70});
  const Failure changed =
      failure_of([&] { FileImage(file, qwen, {.tiles = 1, .rows = 2, .columns = 2}).pixels(); });
  CHECK(changed.code == ExitCode::bad_data);
  CHECK(contains(changed.message, "exif6.jpg: it changed while it was in use"));
}

TEST_CASE("an image that the processor refuses is named with the reason") {
  const ScratchFolder folder;
  // A PNG header suffices: the size is refused before anything is decoded.
  std::string png = contents_of(kImages + "/shapes.png");
  png.replace(16, 8, std::string("\0\0\x10\0\0\0\0\x02", 8));  // 4096 x 2
  const MediaFile file{.path = folder.write("line.png", png)};
  const Failure refused = failure_of([&] {
    read_media_layout({file},
                      image_recipe_from_json({{"image_processor_type", "Qwen2VLImageProcessor"}}, "qwen"));
  });
  CHECK(refused ==
        Failure{ExitCode::bad_data,
                file.path +
                    ": an image of 4096 x 2 pixels: the longer side is more than 200 times the "
                    "shorter one, which the model's image processor refuses; crop it or leave it out"});
}

TEST_CASE("frames of a video come from their files, and must be of one size") {
  const ScratchFolder folder;
  const ImageRecipe recipe =
      video_recipe_from_json({{"video_processor_type", "Qwen2VLVideoProcessor"}}, "video");
  const std::vector<MediaFile> frames(3, {.path = kImages + "/photo.jpg"});
  const MediaLayout media = read_media_layout(frames, recipe);
  CHECK(media.layout.tiles == 2);
  FileImage video(frames, recipe, media.layout);
  const Image photo = decode_image_file(frames[0]);
  CHECK(same(video.pixels(), video_pixel_values(recipe, 3, [&](i64) { return photo; })));

  FileImage mixed({frames[0], {.path = kImages + "/gray.jpg"}}, recipe, media.layout, {}, {},
                  "train.jsonl:7");
  const Failure failure = failure_of([&] { mixed.pixels(); });
  CHECK(failure.code == ExitCode::bad_data);
  CHECK(contains(failure.message, "train.jsonl:7: " + kImages + "/gray.jpg: a frame of 60 x 60 pixels"));
}
