#include "runtime/data/image_processor.h"

#include <cstring>

#include <doctest/doctest.h>
#include <xxhash.h>

#include "runtime/base/json.h"
#include "runtime/data/image_decode.h"
#include "runtime/io/safetensors.h"

using namespace longsight;
using namespace longsight::data;

namespace {

const std::string kLlava = "tests/goldens/llava-clip-llama/";

Json clip_json() {
  return {
      {"image_processor_type", "CLIPImageProcessor"}, {"size", {{"shortest_edge", 56}}}, {"crop_size", 56}};
}

std::string refusal(const Json& json) {
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
  const std::string text = refusal(json);
  CAPTURE(text);
  return text.find("key '" + key + "'") != std::string::npos;
}

Image counting_image(i64 height, i64 width) {
  Image image(height, width);
  for (std::size_t i = 0; i < image.rgb.size(); ++i) image.rgb[i] = static_cast<std::uint8_t>(i);
  return image;
}

}  // namespace

TEST_CASE("pixel values of the LLaVA golden samples are equal to the bit") {
  const ImageRecipe recipe = image_recipe_from_json(read_json_file(kLlava + "model/preprocessor_config.json"),
                                                    "preprocessor_config.json");
  const JsonLinesIndex samples(kLlava + "samples.jsonl");
  i64 images = 0;
  for (i64 s = 0; s < samples.size(); ++s) {
    const io::SafetensorsFile expected(fmt::format("{}expected_samples/{:03}.safetensors", kLlava, s));
    const Json sample = samples.json(s);
    i64 image_of_sample = 0;
    for (const Json& message : sample["messages"]) {
      for (const Json& part : message["content"]) {
        if (part["type"] != "image") continue;
        CAPTURE(part.dump());
        const OwnedTensor values =
            pixel_values(recipe, decode_image_file(kLlava + part["image"].get<std::string>()));
        OwnedTensor want(DType::F32, values->shape());
        expected.read_range("pixel_values", image_of_sample * values->elements(), want);
        CHECK(std::memcmp(values->data(), want->data(), static_cast<std::size_t>(values->bytes())) == 0);
        ++image_of_sample;
        ++images;
      }
    }
  }
  CHECK(images == 12);
}

TEST_CASE("recipes of CLIP, LLaVA and SigLIP give the pixel values of transformers to the bit") {
  const Json cases = read_json_file("tests/goldens/image_processor/expected.json");
  CHECK(cases.size() == 104);
  for (const Json& c : cases) {
    CAPTURE(c.dump());
    const ImageRecipe recipe = image_recipe_from_json(c["config"], "config");
    const Image image = decode_image_file("tests/goldens/" + c["image"].get<std::string>());
    const OwnedTensor values = pixel_values(recipe, image);
    const Shape shape{c["shape"][0].get<i64>(), c["shape"][1].get<i64>(), c["shape"][2].get<i64>()};
    REQUIRE(values->shape() == shape);
    CHECK(fmt::format("{:016x}", XXH64(values->data(), static_cast<std::size_t>(values->bytes()), 0)) ==
          c["digest"].get<std::string>());
    CHECK(processed_size(recipe, image.size()) == ImageSize{shape[1], shape[2]});
    CHECK(image_recipe_from_json(json_of(recipe), "written") == recipe);
  }
}

TEST_CASE("the golden preprocessor file is written back with the same meaning") {
  const Json given = read_json_file(kLlava + "model/preprocessor_config.json");
  const Json written = json_of(image_recipe_from_json(given, "given"));
  for (const auto& [key, value] : given.items()) {
    CAPTURE(key);
    if (key != "processor_class") CHECK(written[key] == value);
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

TEST_CASE("an unknown processor, unknown keys and impossible values are refused by name") {
  CHECK(refusal({{"image_processor_type", "Qwen2VLImageProcessor"}}).find("Qwen2VLImageProcessor") !=
        std::string::npos);
  CHECK(refusal({{"size", 56}}).find("image_processor_type") != std::string::npos);
  CHECK(refusal(Json::array()) != "nothing");
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
  const Image moved = prepare_image(recipe, image, {.dx = 1, .dy = -2});
  CHECK(moved.size() == ImageSize{2, 2});
  CHECK(moved.row(0)[0] == image.row(4)[1 * 3]);
  CHECK(moved.row(1)[3] == image.row(5)[2 * 3]);
}

TEST_CASE("patch grids follow from sizes alone") {
  ImageRecipe recipe = image_recipe_from_json(clip_json(), "clip");
  CHECK(processed_grid(recipe, {480, 640}, 14) == PatchGrid{4, 4});
  recipe.center_crop = false;
  CHECK(processed_grid(recipe, {480, 640}, 14) == PatchGrid{4, 5});  // 56 x int(74.67)
  CHECK(processed_grid(recipe, {640, 480}, 14).patches() == 20);
  recipe.pad_to_square = true;
  CHECK(processed_grid(recipe, {480, 640}, 14) == PatchGrid{4, 4});
  ImageRecipe siglip = image_recipe_from_json(
      {{"image_processor_type", "SiglipImageProcessor"}, {"size", {384, 384}}}, "siglip");
  CHECK(processed_grid(siglip, {10, 1000}, 14) == PatchGrid{27, 27});
}
