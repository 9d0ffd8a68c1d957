#include "tests/launch/power_loss/disk.h"

#include <filesystem>
#include <fstream>

#include "runtime/base/error.h"

namespace longsight::test {
namespace {

namespace fs = std::filesystem;
using Kind = FileOperation::Kind;

void write_into(std::string& content, bool cuts, i64 at, const std::string& data) {
  const auto from = static_cast<std::size_t>(at);
  if (cuts) return content.resize(from);
  if (content.size() < from + data.size()) content.resize(from + data.size());
  content.replace(from, data.size(), data);
}

}  // namespace

Disk::Disk() : root_(std::make_shared<Node>()) {
  root_->folder = true;
}

Disk::Node* Disk::find(const std::string& path) const {
  Node* at = root_.get();
  for (const fs::path& name : fs::path(path)) {
    const auto found = at->names.find(name.string());
    if (found == at->names.end()) return nullptr;
    at = found->second.get();
  }
  return at;
}

std::pair<Disk::Node*, std::string> Disk::place(const std::string& path) const {
  Node* const folder = find(fs::path(path).parent_path().string());
  check(folder != nullptr, "{} lies in no folder", path);
  return {folder, fs::path(path).filename().string()};
}

void Disk::write(Node& file, Write write) {
  write_into(file.content, write.cuts, write.at, write.data);
  file.writes.push_back(std::move(write));
}

void Disk::move(Node& folder, Move move) {
  for (const auto& [name, node] : move.names) {
    if (node)
      folder.names[name] = node;
    else
      folder.names.erase(name);
  }
  folder.moves.push_back(std::move(move));
}

void Disk::apply(const FileOperation& o) {
  Node* const node = find(o.path);
  switch (o.kind) {
    case Kind::make_file:
    case Kind::make_folder: {
      const auto [folder, name] = place(o.path);
      auto made = std::make_shared<Node>();
      made->folder = o.kind == Kind::make_folder;
      return move(*folder, {{{name, made}}});
    }
    case Kind::rename:
    case Kind::exchange: {
      const auto [folder, name] = place(o.path);
      const auto [to_folder, to] = place(o.to);
      check(folder == to_folder, "{} is moved to another folder", o.path);
      const auto first = folder->names.at(name);
      const auto second = o.kind == Kind::exchange ? folder->names.at(to) : nullptr;
      return move(*folder, {{{name, second}, {to, first}}});  // both names at once, or neither
    }
    case Kind::remove: {
      const auto [folder, name] = place(o.path);
      return move(*folder, {{{name, nullptr}}});
    }
    // Files without a name here were made in another way, and say nothing of checkpoints.
    case Kind::write:
      if (node != nullptr) write(*node, {.cuts = false, .at = o.at, .data = o.data});
      return;
    case Kind::truncate:
      if (node != nullptr) write(*node, {.cuts = true, .at = o.at, .data = {}});
      return;
    case Kind::sync:
      if (node == nullptr) return;
      node->synced_content = node->content;
      node->writes.clear();
      node->synced_names = node->names;
      node->moves.clear();
      return;
  }
}

void Disk::write_node(const Node& node, const std::string& path, Left left, std::mt19937& random) {
  const auto kept = [&] { return left == Left::some && random() % 2 == 0; };
  if (!node.folder) {
    std::string content = left == Left::all ? node.content : node.synced_content;
    for (const Write& write : node.writes) {
      if (kept()) write_into(content, write.cuts, write.at, write.data);
    }
    std::ofstream(path, std::ios::binary) << content;
    return;
  }
  fs::create_directories(path);
  Nodes names = left == Left::all ? node.names : node.synced_names;
  for (const Move& move : node.moves) {
    if (!kept()) continue;
    for (const auto& [name, moved] : move.names) {
      if (moved)
        names[name] = moved;
      else
        names.erase(name);
    }
  }
  for (const auto& [name, child] : names) write_node(*child, path + "/" + name, left, random);
}

void Disk::write_to(const std::string& folder, Left left, std::mt19937& random) const {
  write_node(*root_, folder, left, random);
}

}  // namespace longsight::test
