// longsight data preview: the first samples as people see them and as the model is fed.
#include <algorithm>

#include "launch/output.h"
#include "launch/pages/contact_sheet.h"
#include "launch/samples/left_out.h"
#include "launch/samples/token_text.h"
#include "launch/verbs/data_verbs.h"
#include "runtime/base/log.h"
#include "runtime/data/records/check_data.h"
#include "runtime/data/text/unicode.h"
#include "runtime/io/atomic_file.h"

namespace longsight::launch {
namespace {

constexpr i64 kFontPixels = 15;

struct DataPreviewOptions {
  FileOptions files;
  std::string model, chat, out;
  std::vector<std::string> fonts;
  i64 samples = 8;
};

std::string text_block(i64 number, const SampleMaker& maker, const data::ChatSample& chat,
                       const model::Sample& sample) {
  std::string text = fmt::format("{}. {}: {}\n", number, chat.where, facts_text(maker, chat, sample));
  for (std::size_t m = 0; m < chat.media.size(); ++m) {
    const data::ChatMedia& media = chat.media[m];
    text +=
        fmt::format("   {} {}: {}", media.video ? "video" : "image", m + 1, name_of(media.frames.front()));
    if (media.video) text += fmt::format(" and {} more frames", media.frames.size() - 1);
    text += "\n";
  }
  return text + "\n" + token_text(maker, sample) + "\n\n\n";
}

bool has_all(const Fonts& fonts, const data::ChatSample& chat) {
  for (const data::ChatMessage& message : chat.messages) {
    const std::string text = text_of(message);
    for (std::size_t at = 0; at < text.size();) {
      const data::CodePoint c = data::code_point(text.data() + at);
      if (c.value >= 0x20 && !fonts.has(c.value)) return false;
      at += static_cast<std::size_t>(c.bytes);
    }
  }
  return true;
}

ExitCode run_preview(Job& job, const DataPreviewOptions& o) {
  if (!job.leads()) return ExitCode::done;
  require(o.samples >= 1 && o.samples <= 64, ExitCode::usage, "--samples {}: from 1 to 64", o.samples);
  require_writable_folder(o.out);
  const Fonts fonts(o.fonts, kFontPixels);
  const auto maker = open_maker_for(o.files, o.model, o.chat);
  ContactSheet sheet(fonts);
  std::string text =
      "Tokens stand between |, those with loss in [brackets]; a token that is repeated is written once, with "
      "the "
      "number.\n\n";
  data::EncodeCache cache;
  i64 number = 0;
  bool boxes = false;
  const bool skip = skips_bad(o.files);
  for (const OpenSource& source : open_files(o.files)) {
    LeftOut left_out(source, source.samples, skip);
    for (i64 i = 0; i - left_out.count() < o.samples && i < source.samples; ++i) {
      data::ChatSample chat;
      model::Sample sample;
      try {
        chat = source.data->sample(i);
        sample = maker->sample(chat, cache);
        data::check_media(chat, data::MediaCheck::decoded);
      } catch (const Error&) {
        left_out.add(i, std::current_exception());
        continue;
      }
      sheet.add(chat, facts_text(*maker, chat, sample));
      boxes = boxes || !has_all(fonts, chat);
      text += text_block(++number, *maker, chat, sample);
    }
  }
  io::ensure_folder(o.out);
  io::write_file(o.out + "/preview.png", sheet.png());
  io::write_file(o.out + "/preview.txt", text);
  if (boxes)
    log_info("boxes stand for characters that no font here has; name one that has them: --font FILE");
  log_info("{} samples in {}/preview.png and {}/preview.txt", number, o.out, o.out);
  return ExitCode::done;
}

}  // namespace

void add_data_preview(Command data, Run& run) {
  const Command verb = data.add_command(
      "preview",
      "Show the first samples of each source: pictures and texts on a page, tokens and loss in a text");
  auto o = std::make_shared<DataPreviewOptions>();
  add_file_options(verb, o->files);
  verb.add_option("--model", o->model, "model or run folder (default: the model of the configuration)");
  verb.add_option("--chat", o->chat, "chat template instead of the model's own: NAME or FILE.jinja");
  verb.add_option("--out", o->out, "folder for preview.png and preview.txt").required();
  verb.add_option("--samples", o->samples, "of each source (default 8)");
  verb.add_option("--font", o->fonts,
                  "font file; several: the first that has a character (default: DejaVu, Noto CJK)");
  verb.callback([o, &run] { run = [o](Job& job) { return run_preview(job, *o); }; });
}

}  // namespace longsight::launch
