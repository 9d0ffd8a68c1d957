#include "launch/samples/sample_maker.h"

#include <filesystem>

#include <doctest/doctest.h>

#include "model/files/checkpoint.h"
#include "runtime/base/json.h"
#include "runtime/data/records/messages.h"
#include "tests/support/failure.h"
#include "tests/support/scratch_folder.h"

using namespace longsight;
using namespace longsight::launch;

namespace {

namespace fs = std::filesystem;

const std::string kCases = "tests/goldens/llava-clip-llama";
const std::string kModelFolder = kCases + "/model";

// A model folder of one's own, without the files named and without weights.
std::string copy_of_model(const ScratchFolder& scratch, const std::vector<std::string>& without) {
  const std::string folder = scratch / "model";
  fs::create_directory(folder);
  for (const auto& entry : fs::directory_iterator(kModelFolder)) {
    const std::string name = entry.path().filename().string();
    if (name == "model.safetensors" || std::find(without.begin(), without.end(), name) != without.end())
      continue;
    fs::copy_file(entry.path(), folder + "/" + name);
  }
  return folder;
}

Failure failure_of_model(const std::string& folder) {
  return failure_of([&] { SampleMaker::of_model(folder, model::read_config(folder)); });
}

void change(const std::string& file, const char* patch) {
  Json json = read_json_file(file);
  json.merge_patch(Json::parse(patch));
  std::ofstream(file) << json.dump();
}

}  // namespace

TEST_CASE("a prompt ends where the last answer begins, with the images that are in front of it") {
  const auto maker = SampleMaker::of_model(kModelFolder, model::read_config(kModelFolder));
  const data::MessagesFile file(kCases + "/samples.jsonl");
  const Json golden = read_json_file("tests/goldens/generate/llava-clip-llama.json");
  data::EncodeCache cache;
  REQUIRE(file.size() == static_cast<i64>(golden["samples"].size()));
  for (i64 i = 0; i < file.size(); ++i) {
    const data::ChatSample chat = file.sample(i);
    const model::Sample prompt = maker->prompt(chat, cache);
    CHECK(prompt.tokens() == golden["samples"][static_cast<std::size_t>(i)]["prompt_tokens"]);
    CHECK(prompt.images.size() == chat.media.size());
    CHECK(supervised_tokens(prompt) == 0);
    CHECK(prompt.id == fmt::format("{}/samples.jsonl:{}", kCases, i + 1));
  }
}

TEST_CASE("ids that the tokenizer does not have are left out of the text, as special tokens are") {
  const auto maker = SampleMaker::of_model(kModelFolder, model::read_config(kModelFolder));
  const Json golden = read_json_file("tests/goldens/generate/llava-clip-llama.json");
  for (const Json& sample : golden["samples"]) {
    CHECK(maker->text(sample["ids"].get<std::vector<i64>>()) == sample["text"].get<std::string>());
  }
}

TEST_CASE("an answer ends at the tokenizer's eos and at whatever generation_config.json says") {
  const ScratchFolder scratch;
  const std::string folder = copy_of_model(scratch, {});
  const auto stop = [&] { return SampleMaker::of_model(folder, model::read_config(folder))->stop_tokens(); };
  CHECK(stop() == std::vector<i64>{2});
  change(folder + "/generation_config.json", R"({"eos_token_id": [7, 300]})");
  CHECK(stop() == std::vector<i64>{2, 7, 300});
  change(folder + "/generation_config.json", R"({"eos_token_id": "</s>"})");
  CHECK(
      contains(failure_of(stop).message, "generation_config.json: eos_token_id \"</s>\" is not a token id"));
  fs::remove(folder + "/generation_config.json");
  CHECK(stop() == std::vector<i64>{2});
}

TEST_CASE("augmentation shifts each image by its own shift") {
  const auto maker = SampleMaker::of_model(kModelFolder, model::read_config(kModelFolder));
  const data::ChatSample chat = data::MessagesFile(kCases + "/samples.jsonl").sample(2);
  data::EncodeCache cache;
  const std::vector<data::Shift> shifts{{0, 0}, {2, 1}};
  const model::Sample plain = maker->sample(chat, cache), shifted = maker->sample(chat, cache, shifts);
  const auto pixel = [](const model::Sample& s, std::size_t image, i64 y, i64 x) {
    return s.images[image]->pixels().host<float>()[y * 56 + x];
  };
  CHECK(pixel(shifted, 0, 20, 20) == pixel(plain, 0, 20, 20));
  CHECK(pixel(shifted, 1, 21, 22) == pixel(plain, 1, 20, 20));
  CHECK(pixel(shifted, 1, 20, 20) != pixel(plain, 1, 20, 20));
}

TEST_CASE("what a model folder lacks is named, with what to do") {
  const auto without = [](const std::vector<std::string>& files) {
    const ScratchFolder scratch;
    return failure_of_model(copy_of_model(scratch, files));
  };
  const Failure tokenizer = without({"tokenizer.json"});
  CHECK(tokenizer.code == ExitCode::missing_input);
  CHECK(contains(
      tokenizer.message,
      "model: no tokenizer.json, no vocab.json with merges.txt and no tokenizer.model; copy the tokenizer "));
  const Failure images = without({"preprocessor_config.json"});
  CHECK(images.code == ExitCode::missing_input);
  CHECK(contains(images.message, "model: no preprocessor_config.json"));
  const ScratchFolder scratch;
  const std::string silent = copy_of_model(scratch, {"chat_template.json", "tokenizer_config.json"});
  const auto maker = SampleMaker::of_model(silent, model::read_config(silent));
  data::EncodeCache cache;
  const Failure chat =
      failure_of([&] { maker->sample(data::MessagesFile(kCases + "/samples.jsonl").sample(0), cache); });
  CHECK(chat.code == ExitCode::bad_data);
  CHECK(contains(chat.message, "samples.jsonl:1: a conversation, but "));
  CHECK(contains(chat.message, "no chat template"));
}

TEST_CASE("files of a model folder that do not fit each other are refused") {
  const ScratchFolder scratch;
  const std::string folder = copy_of_model(scratch, {});
  change(folder + "/preprocessor_config.json", R"({"crop_size": {"height": 42, "width": 42}})");
  const Failure size = failure_of_model(folder);
  CHECK(size.code == ExitCode::bad_data);
  CHECK(contains(size.message, "makes 42 x 42 pixels of an image of 640 x 480, but image_size"));
  // Right for squares only.
  change(folder + "/preprocessor_config.json", R"({"do_center_crop": false, "crop_size": null})");
  CHECK(contains(failure_of_model(folder).message, "makes 74 x 56 pixels of an image of 640 x 480"));
  change(folder + "/preprocessor_config.json",
         R"({"size": {"shortest_edge": null, "height": 56, "width": 56}})");
  CHECK(failure_of_model(folder) == Failure{});
}

TEST_CASE("a token beyond the model's vocabulary harms the texts that use it, and no other") {
  const ScratchFolder scratch;
  const std::string folder = copy_of_model(scratch, {});
  const auto config = model::read_config(folder);
  const i64 beyond = config.text.vocab;
  Json tokenizer = read_json_file(folder + "/tokenizer.json");
  tokenizer["added_tokens"].push_back({{"id", beyond},
                                       {"content", "[PAD]"},
                                       {"special", true},
                                       {"single_word", false},
                                       {"lstrip", false},
                                       {"rstrip", false},
                                       {"normalized", false}});
  std::ofstream(folder + "/tokenizer.json") << tokenizer.dump();
  const auto maker = SampleMaker::of_model(folder, config);
  data::EncodeCache cache;
  const auto sample_of = [&](const std::string& text) {
    data::ChatSample chat;
    chat.where = "a.jsonl:7";
    chat.messages = {{.role = data::Role::user, .parts = {{.text = "hello"}}},
                     {.role = data::Role::assistant, .parts = {{.text = text}}, .loss = true}};
    return maker->sample(chat, cache);
  };
  CHECK(sample_of("a word").tokens() > 2);
  const Failure failure = failure_of([&] { sample_of("a [PAD] word"); });
  CHECK(failure.code == ExitCode::bad_data);
  CHECK(
      contains(failure.message, fmt::format("a.jsonl:7: the token \"[PAD]\" has the id {}, beyond", beyond)));
}

TEST_CASE("the recipe of transformers 5 stands in processor_config.json") {
  const ScratchFolder scratch;
  const std::string folder = copy_of_model(scratch, {"preprocessor_config.json"});
  const Json recipe = read_json_file(kModelFolder + "/preprocessor_config.json");
  std::ofstream(folder + "/processor_config.json") << Json{{"image_processor", recipe}}.dump();
  const auto config = model::read_config(folder);
  CHECK(SampleMaker::of_model(folder, config)->recipe() ==
        SampleMaker::of_model(kModelFolder, config)->recipe());
}

TEST_CASE("a tokenizer alone takes the images as CLIP does and the chat template llava") {
  const ScratchFolder scratch;
  const auto config = model::read_config(kModelFolder);
  const std::string folder =
      copy_of_model(scratch, {"preprocessor_config.json", "chat_template.json", "tokenizer_config.json",
                              "processor_config.json", "generation_config.json"});
  const auto maker = SampleMaker::of_tokenizer(folder, config);
  CHECK(maker->chat()->source().name == "llava");
  CHECK(maker->recipe() == SampleMaker::of_model(kModelFolder, config)->recipe());
  CHECK(SampleMaker::of_tokenizer(folder, config, {.chat = "vicuna"})->chat()->source().name == "vicuna");
  CHECK(failure_of([&] { SampleMaker::of_tokenizer(scratch / "nowhere", config); }) ==
        Failure{ExitCode::missing_input, scratch / "nowhere: no such folder"});

  // What it wrote into a model folder is what it reads from one.
  maker->complete_folder(folder);
  const auto again = SampleMaker::of_model(folder, config);
  CHECK(again->recipe() == maker->recipe());
  CHECK(again->chat()->source().program == maker->chat()->source().program);
  CHECK(again->stop_tokens() == maker->stop_tokens());
  CHECK(read_json_file(folder + "/processor_config.json")["num_additional_image_tokens"] == 1);
}

TEST_CASE("a model folder is made to say what was trained with, and keeps the rest") {
  const ScratchFolder scratch;
  const std::string folder = copy_of_model(scratch, {});
  const std::string preprocessor = contents_of(folder + "/preprocessor_config.json");
  scratch.write(
      "mine.jinja",
      "{% for m in messages %}[{{ m.role }}]{% for c in m.content %}"
      "{% if c.type == 'image' %}<image>{% else %}{{ c.text }}{% endif %}{% endfor %}<pad>{% endfor %}"
      "{% if add_generation_prompt %}[assistant]{% endif %}");
  const auto maker =
      SampleMaker::of_model(folder, model::read_config(folder), {.chat = scratch / "mine.jinja"});
  maker->complete_folder(folder);
  CHECK(contents_of(folder + "/preprocessor_config.json") == preprocessor);
  const std::string program = contents_of(scratch / "mine.jinja");
  CHECK(contents_of(folder + "/chat_template.jinja") == program);
  CHECK(read_json_file(folder + "/chat_template.json")["chat_template"] == program);
  CHECK(read_json_file(folder + "/tokenizer_config.json")["chat_template"] == program);
  // [own, trained] wherever an end is named; the tokenizer keeps its own.
  const Json ends = {2, 781};
  CHECK(read_json_file(folder + "/generation_config.json")["eos_token_id"] == ends);
  CHECK(read_json_file(folder + "/config.json")["text_config"]["eos_token_id"] == ends);
  CHECK(read_json_file(folder + "/tokenizer_config.json")["eos_token"] == "</s>");

  const auto again = SampleMaker::of_model(folder, model::read_config(folder));
  CHECK(again->stop_tokens() == std::vector<i64>{2, 781});
  data::EncodeCache cache;
  const data::MessagesFile file(kCases + "/samples.jsonl");
  for (i64 i = 0; i < file.size(); ++i) {
    const model::Sample trained = maker->sample(file.sample(i), cache),
                        read = again->sample(file.sample(i), cache);
    CHECK(trained.ids == read.ids);
    CHECK(trained.labels == read.labels);
    CHECK(maker->prompt(file.sample(i), cache).ids == again->prompt(file.sample(i), cache).ids);
  }
}

TEST_CASE("a part of Qwen's form has the size that it asks for, other models refuse to be asked") {
  const ScratchFolder scratch;
  fs::copy_file("tests/goldens/qwen2-vl/images/photo.jpg", scratch / "a.jpg");
  const auto line = [](const std::string& keys) {
    return R"({"messages": [{"role": "user", "content": [{"type": "image", "image": "a.jpg")" + keys +
           R"(}]}, {"role": "assistant", "content": "A."}]})" + "\n";
  };
  const std::string data =
      scratch.write("a.jsonl", line("") + line(R"(, "max_pixels": 1568)") +
                                   line(R"(, "resized_height": 28, "resized_width": 28)") +
                                   line(R"(, "min_pixels": 50176)"));
  const auto grids = [&](const std::string& model) {
    const auto maker = SampleMaker::of_model(model, model::read_config(model));
    const data::MessagesFile file(data);
    data::EncodeCache cache;
    std::string all;
    for (i64 i = 0; i < file.size(); ++i) {
      const model::Sample sample = maker->sample(file.sample(i), cache);
      const data::ImageLayout& layout = sample.images.at(0)->layout();
      if (model != kModelFolder) {  // which has tiles
        CHECK(sample.images[0]->pixels().rows() == layout.patches());
        CHECK(maker->visual_tokens(sample) == layout.patches() / 4);
      }
      all += fmt::format("{}x{} ", layout.rows, layout.columns);
    }
    return all;
  };
  // As smart_resize of qwen-vl-utils has it, within 784 to 9,408 pixels where a part says nothing.
  CHECK(grids("tests/goldens/qwen2-vl/model") == "4x6 2x2 4x4 14x20 ");
  CHECK(failure_of([&] { grids(kModelFolder); }).message ==
        data +
            ":2: \"max_pixels\" of a picture: CLIPImageProcessor has no such limit, only Qwen2-VL's models "
            "have; "
            "remove it");
}

TEST_CASE("a line break beside a picture stays as it is written, unless the template writes it") {
  const ScratchFolder scratch;
  fs::copy_file("tests/goldens/qwen2-vl/images/tiny.png", scratch / "a.png");
  const auto text_of = [&](const std::string& model, const std::string& content) {
    const auto maker = SampleMaker::of_model(model, model::read_config(model));
    const data::MessagesFile file(scratch.write(
        "a.jsonl", R"({"images": ["a.png", "a.png"], "messages": [{"role": "user", "content": )" + content +
                       R"(}, {"role": "assistant", "content": "A"}]})"));
    data::EncodeCache cache;
    const model::Sample sample = maker->sample(file.sample(0), cache);
    return maker->text(sample.ids);
  };
  const std::string tag = R"("Image-1: <image>\nImage-2: <image>\nCompare.")";
  const std::string parts = R"([{"type": "text", "text": "Image-1: "}, {"type": "image"},
      {"type": "text", "text": "\nImage-2: "}, {"type": "image"}, {"type": "text", "text": "\nCompare."}])";
  std::string one_line = parts;
  std::replace(one_line.begin(), one_line.end(), '\n', ' ');
  for (const char* model : {"qwen2-vl", "smolvlm", "internvl-qwen2", "llava-clip-llama"}) {
    CAPTURE(model);
    const std::string folder = std::string("tests/goldens/") + model + "/model";
    CHECK(text_of(folder, tag) == text_of(folder, one_line));
  }
  CHECK(contains(text_of("tests/goldens/qwen2-vl/model", tag), "Image-1: \nImage-2: \nCompare."));
  CHECK(contains(text_of("tests/goldens/internvl-qwen2/model", tag), "Image-1: \nImage-2: \nCompare."));
  CHECK(
      contains(text_of("tests/goldens/llava-clip-llama/model", tag), "USER: \n\nImage-1: Image-2: Compare."));
}
