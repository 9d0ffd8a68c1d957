// A disk that loses power. Contents that were not synced may be lost, and so may names that were made, moved
// or removed in a folder that was not synced since, in any combination: POSIX promises no more.
#pragma once

#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/launch/power_loss/recorder.h"

namespace longsight::test {

class Disk {
 public:
  Disk();  // an empty folder, which stays
  void apply(const FileOperation&);

  // Writes what is there when the power comes back into an empty folder.
  enum class Left {
    synced,  // what was synced, and nothing else
    all,     // everything, as after the end of a process
    some     // of what was not synced what `random` says
  };
  void write_to(const std::string& folder, Left left, std::mt19937& random) const;

 private:
  struct Node;
  using Nodes = std::map<std::string, std::shared_ptr<Node>>;
  struct Write {  // of a file
    bool cuts = false;
    i64 at = 0;
    std::string data;
  };
  struct Move {  // of names in a folder, which become these; null: none
    std::vector<std::pair<std::string, std::shared_ptr<Node>>> names;
  };
  struct Node {
    bool folder = false;
    std::string content, synced_content;
    std::vector<Write> writes;  // since it was synced
    Nodes names, synced_names;
    std::vector<Move> moves;  // since it was synced
  };
  static void write(Node&, Write);
  static void move(Node&, Move);
  static void write_node(const Node&, const std::string& path, Left left, std::mt19937& random);
  Node* find(const std::string& path) const;  // null: there is none
  // The folder that a path lies in, and its name there.
  std::pair<Node*, std::string> place(const std::string& path) const;

  std::shared_ptr<Node> root_;
};

}  // namespace longsight::test
