// longsight data tokenizer: learns a byte-level BPE.
#include <algorithm>
#include <array>
#include <filesystem>

#include <fmt/ranges.h>

#include "launch/samples/data_files.h"
#include "launch/verbs/data_verbs.h"
#include "runtime/base/log.h"
#include "runtime/data/chat/render_chat.h"
#include "runtime/data/records/check_data.h"
#include "runtime/data/records/open_data.h"
#include "runtime/data/text/bpe_learn.h"
#include "runtime/io/atomic_file.h"

namespace longsight::launch {
namespace {

namespace fs = std::filesystem;

// By id.
const std::vector<std::string> kSpecialTokens{"<unk>", "<s>", "</s>", "<image>", "<pad>"};
constexpr std::array kFiles{"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
                            "chat_template.jinja"};

struct DataTokenizerOptions {
  i64 vocab = 0;
  std::vector<std::string> files;
  std::string out, chat = "llava";
  bool force = false;
};

bool is_special(const std::string& token) {
  return std::find(kSpecialTokens.begin(), kSpecialTokens.end(), token) != kSpecialTokens.end();
}

// What the tokenizer to be made will have.
data::ChatTokens chat_tokens() {
  return {
      .named = {{"bos_token", "<s>"}, {"eos_token", "</s>"}, {"unk_token", "<unk>"}, {"pad_token", "<pad>"}},
      .special = kSpecialTokens,
      .ends = {"</s>"},
      .eos = "</s>",
      .image = "<image>",
      .video = "",
      .has = is_special};
}

// A folder that holds nothing but what this command writes may be written over.
bool is_tokenizer_folder(const std::string& folder) {
  return std::all_of(
      fs::directory_iterator(folder), fs::directory_iterator(), [](const fs::directory_entry& e) {
        return std::find(kFiles.begin(), kFiles.end(), e.path().filename().string()) != kFiles.end();
      });
}

// The conversations as they will be tokenised, role heads included: pieces are learned as they stand in them
// (" cat" behind "ASSISTANT:", not "cat").
std::vector<std::string> read_texts(const DataTokenizerOptions& o, const data::ChatRenderer& chat) {
  std::vector<std::string> texts;
  for (const std::string& path : o.files) {
    const auto file = data::open_chat_data(data::guess_data_spec(path, open_alone()));
    data::check_samples(*file);
    for (i64 i = 0; i < file->size(); ++i) {
      const data::ChatSample sample = file->sample(i);
      const std::vector<std::string> one_token_each(sample.media.size(), "<image>");
      texts.push_back(chat.render(sample, one_token_each).text);
    }
  }
  return texts;
}

ExitCode run_tokenizer(Job& job, const DataTokenizerOptions& o) {
  if (!job.leads()) return ExitCode::done;
  data::ChatSource source = data::chat_by_name(o.chat);
  for (const std::string& token : source.tokens) {
    require(is_special(token), ExitCode::usage,
            "--chat {}: it needs the token {}, and the tokenizer will have {}", o.chat, token,
            fmt::join(kSpecialTokens, ", "));
  }
  const data::ChatRenderer chat(std::move(source), chat_tokens());
  const bool there = fs::exists(o.out);
  require(!there || fs::is_directory(o.out), ExitCode::cannot_write, "{} exists already and is not a folder",
          o.out);
  require(
      !there || o.force || is_tokenizer_folder(o.out), ExitCode::cannot_write,
      "{} holds other files than a tokenizer's: choose another --out, or --force to replace the whole folder",
      o.out);

  const std::vector<std::string> texts = read_texts(o, chat);
  const data::BpeVocabulary vocabulary = data::learn_bpe(texts, o.vocab, kSpecialTokens);
  std::string parent = o.out;
  while (parent.size() > 1 && parent.ends_with('/')) parent.pop_back();
  parent = fs::path(parent).parent_path().string();
  if (!parent.empty()) io::ensure_folder(parent);
  io::TemporaryFolder out(o.out);
  data::write_tokenizer(out.path(), vocabulary, {.chat_template = chat.source().program});
  out.commit(there ? io::TemporaryFolder::Existing::replace : io::TemporaryFolder::Existing::refuse);

  const i64 tokens = static_cast<i64>(vocabulary.tokens.size());
  log_info("{} tokens ({} special, 256 bytes, {} pieces) learned from {} conversations, written to {}",
           tokens, kSpecialTokens.size(), tokens - vocabulary.special_tokens - 256, texts.size(), o.out);
  if (tokens < o.vocab) {
    log_info("--vocab {}: the texts have no more pairs to merge; ids {} to {} are left out", o.vocab, tokens,
             o.vocab - 1);
  }
  return ExitCode::done;
}

}  // namespace

void add_data_tokenizer(Command data, Run& run) {
  const Command verb =
      data.add_command("tokenizer", "Learn a byte-level BPE from chat files, in the files of Hugging Face");
  auto o = std::make_shared<DataTokenizerOptions>();
  verb.add_option("--vocab", o->vocab, "tokens in all: 5 special ones, 256 bytes, the rest learned")
      .required();
  verb.add_option("files", o->files, "data files (messages, llava, sharegpt, text, .tar shards)").required();
  verb.add_option("--out", o->out, "folder to write").required();
  verb.add_option(
      "--chat", o->chat,
      "chat template that the tokenizer is for, NAME or FILE.jinja (default llava); its special tokens must "
      "be among <s>, </s>, <image>");
  verb.add_flag("--force", o->force, "replace a folder that holds other files too");
  verb.callback([o, &run] { run = [o](Job& job) { return run_tokenizer(job, *o); }; });
}

}  // namespace longsight::launch
