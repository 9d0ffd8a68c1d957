#include "runtime/data/image/image_processor.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <tuple>

#include <doctest/doctest.h>

#include "runtime/base/json.h"
#include "runtime/data/image/formats/image_decode.h"
#include "runtime/data/records/record_file.h"
#include "tests/support/digest.h"
#include "tests/support/failure.h"

using namespace longsight;
using namespace longsight::data;

namespace {

const std::string kLlavaGolden = "tests/goldens/llava-clip-llama/";

Json clip_json() {
  return {
      {"image_processor_type", "CLIPImageProcessor"}, {"size", {{"shortest_edge", 56}}}, {"crop_size", 56}};
}

std::string processor_refusal(const Json& json) {
  try {
    image_recipe_from_json(json, "preprocessor_config.json");
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::bad_data);
    CHECK(std::string_view(error.what()).starts_with("preprocessor_config.json: "));
    return error.what();
  }
  return "nothing";
}

bool refused_for(const std::string& key, const Json& value) {
  Json json = clip_json();
  json[key] = value;
  const std::string text = processor_refusal(json);
  CAPTURE(text);
  return text.find("key '" + key + "'") != std::string::npos;
}

Shape shape_of(const Json& extents) {
  return Shape(extents.get<std::vector<i64>>());
}

Image part_of(const Image& image, i64 top, i64 left, ImageSize size) {
  Image part(size.height, size.width);
  for (i64 y = 0; y < size.height; ++y) {
    std::memcpy(part.row(y), image.row(top + y) + left * 3, static_cast<std::size_t>(size.width * 3));
  }
  return part;
}

Image counting_image(i64 height, i64 width) {
  Image image(height, width);
  for (std::size_t i = 0; i < image.rgb.size(); ++i) image.rgb[i] = static_cast<std::uint8_t>(i);
  return image;
}

}  // namespace

TEST_CASE("pixel values of the golden samples of all families are equal to the bit, and so are the grids") {
  const Json cases = read_json_file("tests/goldens/image_processor/samples.json");
  std::set<std::string> families;
  i64 images = 0;
  for (const Json& c : cases) {
    CAPTURE(c.dump());
    const std::string folder = "tests/goldens/" + c["case"].get<std::string>() + "/";
    const ImageRecipe recipe = image_recipe_from_json(
        read_json_file(folder + "model/preprocessor_config.json"), "preprocessor_config.json");
    const Json sample = RecordFile(folder + "samples.jsonl").json(c["sample"].get<i64>());
    std::string bytes;  // of all images of the sample, joined along the first axis
    i64 rows = 0;
    Shape shape;
    Json grids = Json::array();
    for (const Json& message : sample["messages"]) {
      for (const Json& part : message["content"]) {
        if (!part.is_object() || part["type"] != "image") continue;
        const Image image = decode_image_file(folder + part["image"].get<std::string>());
        const OwnedTensor values = pixel_values(recipe, image);
        bytes.append(static_cast<const char*>(values->data()), static_cast<std::size_t>(values->bytes()));
        rows += values->rows();
        shape = values->shape();
        const ImageLayout layout = image_layout(recipe, image.size());
        if (recipe.makes_patch_rows()) grids.push_back({layout.tiles, layout.rows, layout.columns});
        ++images;
      }
    }
    REQUIRE(c["shape"].size() == static_cast<std::size_t>(shape.rank()));
    CHECK(c["shape"][0] == rows);
    for (int i = 1; i < shape.rank(); ++i) CHECK(c["shape"][static_cast<std::size_t>(i)] == shape[i]);
    CHECK(test::digest(bytes) == c["digest"].get<std::string>());
    CHECK(grids == c["grids"]);
    families.insert(c["case"].get<std::string>());
  }
  CHECK(families.size() == 7);
  CHECK(images > 70);
}

TEST_CASE("recipes of all processors give the pixel values of transformers to the bit") {
  const Json cases = read_json_file("tests/goldens/image_processor/expected.json");
  int images = 0;
  for (const Json& c : cases) {
    if (!c.contains("image")) continue;
    CAPTURE(c.dump());
    const ImageRecipe recipe = image_recipe_from_json(c["config"], "config");
    const Image image = decode_image_file("tests/goldens/" + c["image"].get<std::string>());
    const OwnedTensor values = pixel_values(recipe, image);
    REQUIRE(values->shape() == shape_of(c["shape"]));
    CHECK(test::digest(values) == c["digest"].get<std::string>());
    const ImageLayout layout = image_layout(recipe, image.size());
    CHECK(values->rows() == (recipe.makes_patch_rows() ? layout.patches() : layout.tiles));
    if (!recipe.makes_patch_rows()) {
      CHECK(processed_size(recipe, image.size()) == ImageSize{values->extent(2), values->extent(3)});
    }
    CHECK(image_recipe_from_json(json_of(recipe), "written") == recipe);
    ++images;
  }
  CHECK(images == 200);
}

TEST_CASE("videos are pairs of frames, the last one repeated if it is alone") {
  const Json cases = read_json_file("tests/goldens/image_processor/expected.json");
  const Image photo = decode_image_file(kLlavaGolden + "images/photo.jpg");
  int videos = 0;
  for (const Json& c : cases) {
    if (!c.contains("frames")) continue;
    CAPTURE(c.dump());
    const ImageRecipe recipe = video_recipe_from_json(c["config"], "config");
    std::vector<i64> asked;
    const OwnedTensor rows = video_pixel_values(recipe, c["frames"].get<i64>(), [&](i64 i) {
      asked.push_back(i);
      return part_of(photo, 2 * i, 3 * i, {50, 70});
    });
    REQUIRE(rows->shape() == shape_of(c["shape"]));
    CHECK(test::digest(rows) == c["digest"].get<std::string>());
    CHECK(image_layout(recipe, {50, 70}, c["frames"].get<i64>()).patches() == rows->rows());
    CHECK(std::ssize(asked) == c["frames"].get<i64>());
    CHECK(std::is_sorted(asked.begin(), asked.end()));
    CHECK(video_recipe_from_json(json_of(recipe), "written") == recipe);
    ++videos;
  }
  CHECK(videos == 3);
}

TEST_CASE("the golden preprocessor files are written back with the same meaning") {
  for (const std::string name : {"internvl-qwen2", "llava-clip-llama", "llava-multilayer", "paligemma",
                                 "qwen2-vl", "qwen2_5-vl", "smolvlm"}) {
    CAPTURE(name);
    const Json given = read_json_file("tests/goldens/" + name + "/model/preprocessor_config.json");
    const ImageRecipe recipe = image_recipe_from_json(given, "given");
    const Json written = json_of(recipe);
    for (const auto& [key, value] : given.items()) {
      CAPTURE(key);
      if (key == "processor_class" || key == "image_seq_length" || value.is_null()) continue;
      CHECK(written[key] == value);
    }
    CHECK(image_recipe_from_json(written, "written") == recipe);
  }
}

TEST_CASE("old and fast names of processors, null and absent keys take the defaults of the class") {
  const ImageRecipe old = image_recipe_from_json({{"feature_extractor_type", "CLIPFeatureExtractor"},
                                                  {"size", 24},
                                                  {"crop_size", 24},
                                                  {"do_convert_rgb", nullptr}},
                                                 "old");
  CHECK(old.processor == ImageRecipe::Processor::clip);
  CHECK(old.resize == ImageRecipe::Resize::shortest_edge);
  CHECK(old.size == ImageSize{24, 24});
  CHECK(old.crop == ImageSize{24, 24});
  CHECK(old.convert_rgb);
  const ImageRecipe fast =
      image_recipe_from_json({{"image_processor_type", "SiglipImageProcessorFast"}}, "fast");
  CHECK(fast.resize == ImageRecipe::Resize::exact);
  CHECK_FALSE(fast.center_crop);
  CHECK(fast.std == std::array<double, 3>{0.5, 0.5, 0.5});
}

TEST_CASE("names of processors of other versions are known") {
  for (const auto& [given, known] : std::initializer_list<std::pair<const char*, ImageRecipe::Processor>>{
           {"GotOcr2ImageProcessorFast", ImageRecipe::Processor::got_ocr2},
           {"Qwen2_5_VLImageProcessor", ImageRecipe::Processor::qwen2_vl},
           {"Qwen2VLImageProcessorFast", ImageRecipe::Processor::qwen2_vl},
           {"Idefics3ImageProcessorPil", ImageRecipe::Processor::idefics3}}) {
    CHECK(image_recipe_from_json({{"image_processor_type", given}}, "x").processor == known);
  }
}

TEST_CASE("absent keys take the defaults of each class") {
  const ImageRecipe got = image_recipe_from_json({{"image_processor_type", "GotOcr2ImageProcessor"}}, "got");
  CHECK(got.size == ImageSize{384, 384});
  CHECK(got.tiling == ImageRecipe::Tiling{.min = 1, .max = 12, .thumbnail = true});
  CHECK(got.mean[0] == 0.48145466);
  const ImageRecipe qwen =
      image_recipe_from_json({{"image_processor_type", "Qwen2VLImageProcessor"}}, "qwen");
  CHECK(qwen.pixels ==
        ImageRecipe::PixelRange{.min = 3136, .max = 1003520, .merge = 2, .frames_per_patch = 2});
  CHECK(qwen.patch == 14);
  const ImageRecipe video =
      video_recipe_from_json({{"video_processor_type", "Qwen2VLVideoProcessor"}}, "video");
  CHECK(video.pixels.min == 100352);
  CHECK(video.pixels.max == 602112);
  const ImageRecipe smol =
      image_recipe_from_json({{"image_processor_type", "SmolVLMImageProcessor"}}, "smol");
  CHECK(smol.size.height == 1456);
  CHECK(smol.tiling.side == 364);
  CHECK(smol.resample == Resample::lanczos);
  CHECK(smol.mean[0] == 0.5);
}

TEST_CASE("a video recipe without a file of its own takes the keys of the image file, and its own defaults") {
  const Json image{{"image_processor_type", "Qwen2VLImageProcessor"}, {"max_pixels", 12845056}};
  const ImageRecipe video = video_recipe_from_json(image, "preprocessor_config.json");
  CHECK(video.is_video());
  CHECK(video.pixels.min == 100352);
  CHECK(video.pixels.max == 12845056);
  const Json capped{{"video_processor_type", "Qwen2VLVideoProcessor"},
                    {"cap_pixels_per_frame", true},
                    {"fps", 2.0},
                    {"do_sample_frames", true}};
  CHECK(video_recipe_from_json(capped, "x").pixels.video_tokens == 128000);
  CHECK(failure_of([] {
          video_recipe_from_json({{"video_processor_type", "SmolVLMVideoProcessor"}}, "v.json");
        }).message ==
        "v.json: key 'video_processor_type': video processor \"SmolVLMVideoProcessor\" is not supported; "
        "known is Qwen2VLVideoProcessor");
}

TEST_CASE("size in a Qwen2-VL file is a range of pixels, over which min_pixels and max_pixels win") {
  const auto range = [](const Json& keys) {
    Json json = keys;
    json["image_processor_type"] = "Qwen2VLImageProcessor";
    const auto& pixels = image_recipe_from_json(json, "x").pixels;
    return std::pair(pixels.min, pixels.max);
  };
  CHECK(range({{"size", {{"shortest_edge", 784}, {"longest_edge", 9408}}}}) ==
        std::pair<i64, i64>(784, 9408));
  CHECK(range({{"size", {{"min_pixels", 784}, {"max_pixels", 9408}}}}) == std::pair<i64, i64>(784, 9408));
  CHECK(range({{"size", {{"shortest_edge", 784}, {"longest_edge", 9408}}}, {"max_pixels", 5000}}) ==
        std::pair<i64, i64>(784, 5000));
}

TEST_CASE("the original InternVL's keys make tiles only if its images are of dynamic size") {
  const ImageRecipe plain =
      internvl_recipe({.image_size = 448, .max_dynamic_patch = 12, .use_thumbnail = true});
  CHECK(tile_grid(plain, {300, 1000}) == TileGrid{});
  const ImageRecipe dynamic = internvl_recipe(
      {.image_size = 448, .dynamic_image_size = true, .max_dynamic_patch = 12, .use_thumbnail = true});
  CHECK(tile_grid(dynamic, {300, 1000}) == TileGrid{.rows = 1, .columns = 3, .thumbnail = true});
  CHECK(tile_grid(dynamic, {1000, 1000}) == TileGrid{.rows = 3, .columns = 3, .thumbnail = true});
  CHECK(processed_size(dynamic, {300, 1000}) == ImageSize{448, 448});
  const ImageRecipe bare = internvl_recipe(
      {.image_size = 56, .dynamic_image_size = true, .min_dynamic_patch = 2, .max_dynamic_patch = 6});
  CHECK(image_layout(bare, {100, 200}).tiles == 2);
  CHECK(pixel_values(bare, counting_image(10, 20))->shape() == Shape{2, 3, 56, 56});
  CHECK(image_recipe_from_json(json_of(bare), "written") == bare);
  CHECK(failure_of([] { internvl_recipe({.dynamic_image_size = true, .min_dynamic_patch = 7}); }).code ==
        ExitCode::bad_data);
}

TEST_CASE("an unknown processor, unknown keys and impossible values are refused by name") {
  CHECK(contains(processor_refusal({{"image_processor_type", "MllamaImageProcessor"}}),
                 "\"MllamaImageProcessor\" is not supported"));
  CHECK(contains(processor_refusal({{"image_processor_type", 7}}), "key 'image_processor_type': 7"));
  CHECK(processor_refusal({{"size", 56}}).find("image_processor_type") != std::string::npos);
  CHECK(processor_refusal(Json::array()) != "nothing");
  CHECK(refused_for("image_grid_pinpoints", {{336, 672}}));
  CHECK(refused_for("use_square_size", true));
  CHECK(refused_for("do_pad", true));  // of LLaVA only
  CHECK(refused_for("resample", 0));
  CHECK(refused_for("resample", "bicubic"));
  CHECK(refused_for("size", 0));
  CHECK(refused_for("size", 1.5));
  CHECK(refused_for("size", {{"shortest_edge", 56}, {"longest_edge", 100}}));
  CHECK(refused_for("size", {{"longest_edge", 100}}));
  CHECK(refused_for("size", {56}));
  CHECK(refused_for("crop_size", {{"shortest_edge", 56}}));
  CHECK(refused_for("image_mean", {0.5, 0.5}));
  CHECK(refused_for("image_mean", "half"));
  CHECK(refused_for("image_std", {0.5, 0, 0.5}));
  CHECK(refused_for("do_resize", 1));
  CHECK(refused_for("rescale_factor", "1/255"));
  CHECK(refused_for("data_format", "channels_last"));
  for (const auto& [type, key, value] : std::initializer_list<std::tuple<const char*, const char*, Json>>{
           {"GotOcr2ImageProcessor", "do_resize", false},
           {"GotOcr2ImageProcessor", "max_patches", 0},
           {"GotOcr2ImageProcessor", "max_patches", 1025},
           {"GotOcr2ImageProcessor", "min_patches", 13},
           {"GotOcr2ImageProcessor", "size", {{"longest_edge", 448}}},
           {"Qwen2VLImageProcessor", "do_resize", false},
           {"Qwen2VLImageProcessor", "min_pixels", 0},
           {"Qwen2VLImageProcessor", "min_pixels", 1003521},
           {"Qwen2VLImageProcessor", "max_pixels", 1e6},
           {"Qwen2VLImageProcessor", "size", {{"height", 448}, {"width", 448}}},
           {"Qwen2VLImageProcessor", "size", 448},
           {"Qwen2VLImageProcessor", "merge_size", 0},
           {"Qwen2VLImageProcessor", "crop_size", 28},
           {"SmolVLMImageProcessor", "size", 448},
           {"SmolVLMImageProcessor", "size", {{"shortest_edge", 448}}},
           {"SmolVLMImageProcessor", "max_image_size", {{"height", 448}}},
           {"SmolVLMImageProcessor", "do_image_splitting", 1}}) {
    CAPTURE(type);
    CAPTURE(key);
    CHECK(contains(processor_refusal({{"image_processor_type", type}, {key, value}}),
                   fmt::format("key '{}'", key)));
  }
  CHECK_FALSE(refused_for("use_square_size", false));
  CHECK_FALSE(refused_for("pad_size", nullptr));
}

TEST_CASE("a padded CLIP recipe is written as the LLaVA processor, which knows padding") {
  ImageRecipe recipe = image_recipe_from_json(clip_json(), "clip");
  recipe.pad_to_square = true;
  const Json written = json_of(recipe);
  CHECK(written["image_processor_type"] == "LlavaImageProcessor");
  CHECK(image_recipe_from_json(written, "written").pad_to_square);
}

TEST_CASE("a shift moves the content and repeats the edges") {
  const Image image = counting_image(4, 5);
  const Image shifted = shift_image(image, 2, -1);
  for (i64 y = 0; y < 4; ++y) {
    for (i64 x = 0; x < 5; ++x) {
      const i64 from_y = std::min<i64>(y + 1, 3), from_x = std::max<i64>(x - 2, 0);
      for (i64 c = 0; c < 3; ++c) CHECK(shifted.row(y)[x * 3 + c] == image.row(from_y)[from_x * 3 + c]);
    }
  }
  CHECK(shift_image(image, 0, 0).rgb == image.rgb);
  const Image far = shift_image(image, 100, 100);
  CHECK(far.row(3)[14] == image.row(0)[2]);
}

TEST_CASE("the augmentation shifts the resized image before it is cropped") {
  ImageRecipe recipe;
  recipe.resize = ImageRecipe::Resize::none;
  recipe.crop = {2, 2};
  const Image image = counting_image(6, 6);  // the crop without shift begins at (2, 2)
  const Image moved = prepare_image(recipe, image, {.dx = 1, .dy = -2}).at(0);
  CHECK(moved.size() == ImageSize{2, 2});
  CHECK(moved.row(0)[0] == image.row(4)[1 * 3]);
  CHECK(moved.row(1)[3] == image.row(5)[2 * 3]);
}

TEST_CASE("tiles and thumbnail move together, by as much of the picture") {
  ImageRecipe recipe = internvl_recipe(
      {.image_size = 8, .dynamic_image_size = true, .max_dynamic_patch = 4, .use_thumbnail = true});
  const Image image = counting_image(16, 16);  // 2 x 2 tiles, not resized
  const std::vector<Image> plain = prepare_image(recipe, image),
                           moved = prepare_image(recipe, image, {.dx = 2, .dy = 4});
  REQUIRE(plain.size() == 5);
  REQUIRE(moved.size() == 5);
  CHECK(moved[0].row(5)[9 - 3] == image.row(1)[0]);  // (5, 2) was (1, 0)
  CHECK(moved[3].row(7)[7 * 3] == image.row(11)[13 * 3]);
  CHECK(moved[4].rgb == shift_image(plain[4], 1, 2).rgb);
}
