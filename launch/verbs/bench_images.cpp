// longsight bench images: what a picture costs before it reaches a tower. scripts/bench_images.py compares it
// with Pillow.
#include <algorithm>
#include <ctime>

#include "launch/measure.h"
#include "launch/verb.h"
#include "runtime/base/clock.h"
#include "runtime/base/json.h"
#include "runtime/data/image/formats/image_decode.h"
#include "runtime/data/image/image_processor.h"

namespace longsight::launch {
namespace {

struct BenchImagesOptions {
  std::vector<std::string> files;
  i64 size = 336;
  double seconds = 1;
  bool json = false;
};

// Seconds of this thread on a core: other programs on the machine do not count.
double core_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

ExitCode bench_images(Job& job, const BenchImagesOptions& o) {
  if (!job.leads()) return ExitCode::done;
  data::ImageRecipe recipe;
  recipe.size = recipe.crop = {o.size, o.size};
  nlohmann::ordered_json lines = nlohmann::ordered_json::array();
  for (const std::string& file : o.files) {
    std::vector<double> decode, resize, all;
    for (const double end = steady_seconds() + o.seconds; steady_seconds() < end || all.size() < 3;) {
      const double t0 = core_seconds();
      const data::Image image = data::decode_image_file(file);
      const double t1 = core_seconds();
      const data::ImageSize to = data::image_tiling(recipe, image.size()).canvas;
      const data::Image resized = data::resize_image(image, to, recipe.resample);
      const double t2 = core_seconds();
      const OwnedTensor values = data::pixel_values(recipe, image);
      const double t3 = core_seconds();
      decode.push_back(t1 - t0);
      resize.push_back(t2 - t1);
      all.push_back(t1 - t0 + t3 - t2);
    }
    lines.push_back({{"file", file},
                     {"decode_ms", median(decode) * 1e3},
                     {"resize_ms", median(resize) * 1e3},
                     {"pixel_values_ms", median(all) * 1e3}});
  }
  if (o.json) fmt::print("{}\n", json_text(lines));
  for (const auto& line : lines) {
    if (o.json) break;
    fmt::print("{:40} decode {:8.3f} ms, resize {:8.3f} ms, all up to pixel values {:8.3f} ms\n",
               line["file"].get<std::string>(), line["decode_ms"].get<double>(),
               line["resize_ms"].get<double>(), line["pixel_values_ms"].get<double>());
  }
  return ExitCode::done;
}

}  // namespace

void add_bench_images(Command bench, Run& run) {
  const Command verb = bench.add_command(
      "images", "Decoding and resizing of JPEG and PNG files, milliseconds of one core (medians)");
  auto o = std::make_shared<BenchImagesOptions>();
  verb.add_option("files", o->files, "JPEG and PNG files").required();
  verb.add_option("--size", o->size, "the shorter edge becomes this long (bicubic)").positive();
  verb.add_option("--seconds", o->seconds, "for each file").positive();
  verb.add_flag("--json", o->json, "one line of JSON");
  verb.callback([o, &run] { run = [o](Job& job) { return bench_images(job, *o); }; });
}

}  // namespace longsight::launch
