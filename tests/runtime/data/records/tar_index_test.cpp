#include "runtime/data/records/tar_index.h"

#include <doctest/doctest.h>

#include "tests/support/failure.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/tar_maker.h"

using namespace longsight;
using namespace longsight::data;

namespace {

const std::string kShards = "tests/goldens/data_formats/shards/";

std::vector<TarMember> members_of(const std::string& path) {
  std::vector<TarMember> members;
  scan_tar(InputFile(path), [&](TarMember m) { members.push_back(std::move(m)); });
  return members;
}

std::string content_of(const std::string& path, const TarMember& m) {
  std::string content(static_cast<std::size_t>(m.bytes), '\0');
  InputFile(path).read_exactly_at(content.data(), m.bytes, m.offset);
  return content;
}

class Archive {
 public:
  std::string write(const std::string& bytes) const { return folder_.write("t.tar", bytes); }
  // What is said about an archive, without its name in front.
  std::string refusal(const std::string& bytes) const {
    const std::string path = write(bytes);
    const Failure failure = failure_of([&] { members_of(path); });
    CHECK(failure.code == ExitCode::bad_data);
    CHECK(failure.message.starts_with(path + ": "));
    return failure.message.substr(std::min(failure.message.size(), path.size() + 2));
  }

 private:
  ScratchFolder folder_;
};

}  // namespace

TEST_CASE("archives of tarfile are read: names, places, contents") {
  const std::string path = kShards + "train-000.tar";
  const auto members = members_of(path);
  std::vector<std::string> names;
  for (const TarMember& m : members) names.push_back(m.name);
  CHECK(names == std::vector<std::string>{"samples/one.img1.png", "samples/one.json", "samples/one.txt",
                                          "samples/two.img1.png", "samples/two.img2.jpg", "samples/two.json",
                                          "samples/two.txt"});
  CHECK(content_of(path, members[0]) == contents_of("tests/goldens/data_formats/pictures/red.png"));
  CHECK(content_of(path, members[4]) == contents_of("tests/goldens/data_formats/pictures/blue.jpg"));
  CHECK(content_of(path, members[2]) == "passed over");
}

TEST_CASE("archives of GNU tar are read in all of its formats: long names, links, and folders passed over") {
  std::string folder;
  for (int i = 0; i < 40; ++i) folder += "long";
  for (const char* format : {"gnu", "pax", "ustar"}) {
    CAPTURE(format);
    const std::string path = kShards + format + ".tar";
    const auto members = members_of(path);
    REQUIRE(members.size() == 2);
    CHECK(members[1].no_file == "a link to a.json");
    CHECK(members[0].name == (std::string(format) == "ustar" ? "short" : folder) + "/a.json");
    CHECK(content_of(path, members[0]) == R"({"text": "behind a long name"})");
  }
}

TEST_CASE("a name may be cut into a prefix and a rest, or stand in front in a header of its own") {
  const Archive archive;
  const std::string x =
      tar_member("x", pax_record("mtime", "1.5") + pax_record("path", "from/pax.json"), 'x');
  const std::string l = tar_member("././@LongLink", std::string("from/gnu.json\0", 14), 'L');
  const std::string big = tar_member("x", pax_record("size", "3"), 'x') +
                          tar_block({.name = "b", .size = "0"}) + "abc" + std::string(509, '\0');
  const std::string path =
      archive.write(tar_block({.name = "c.json", .prefix = "a/b"}) + x + tar_member("n", "1") + l +
                    tar_member("n", "22") + big + tar_member("plain", "") + tar_end());
  const auto members = members_of(path);
  REQUIRE(members.size() == 5);
  CHECK(members[0].name == "a/b/c.json");
  CHECK(members[1].name == "from/pax.json");
  CHECK(members[2].name == "from/gnu.json");
  CHECK(content_of(path, members[2]) == "22");
  CHECK(content_of(path, members[3]) == "abc");
  CHECK(members[4].name == "plain");  // what stood in front of others does not stay
}

TEST_CASE(
    "links, devices and pipes are told apart from files, and folders passed over, whatever their size") {
  const Archive archive;
  std::string bytes;
  for (const char type : {'1', '2', '3', '4', '5', '6'})
    bytes += tar_block({.name = "l", .size = "77777777777", .type = type});
  const auto members = members_of(archive.write(bytes + tar_member("a.json", "{}") + tar_end()));
  std::vector<std::string> kinds;
  for (const TarMember& m : members) kinds.push_back(m.no_file);
  CHECK(kinds == std::vector<std::string>{"a link to ", "a link to ", "a device", "a device", "a pipe", ""});
  CHECK(members.back().offset == 7 * 512);
}

TEST_CASE("where a link leads is said, also where it stands in a header of its own") {
  const Archive archive;
  const std::string x = tar_member("x", pax_record("linkpath", "from/pax.jpg"), 'x');
  const std::string k = tar_member("././@LongLink", std::string("from/gnu.jpg\0", 13), 'K');
  std::string own = tar_block({.name = "c", .type = '1'});
  const auto members = members_of(archive.write(x + tar_block({.name = "a", .type = '2'}) + k +
                                                tar_block({.name = "b", .type = '2'}) + own + tar_end()));
  REQUIRE(members.size() == 3);
  CHECK(members[0].no_file == "a link to from/pax.jpg");
  CHECK(members[1].no_file == "a link to from/gnu.jpg");
  CHECK(members[2].no_file == "a link to ");  // what stood in front of others does not stay
}

TEST_CASE("sizes that lie are refused with the place of the header") {
  const Archive archive;
  const auto with_size = [](const std::string& size) {
    return tar_member("first", "x") + tar_block({.name = "a", .size = size}) + tar_end();
  };
  CHECK(archive.refusal(with_size("00000002001")) ==
        "member at byte 1024: 1025 bytes of content, but the archive ends 1024 bytes behind its header");
  CHECK(
      archive.refusal(with_size("77777777777")) ==
      "member at byte 1024: 8589934591 bytes of content, but the archive ends 1024 bytes behind its header");
  CHECK(
      archive.refusal(with_size("777777777777")) ==
      "member at byte 1024: 68719476735 bytes of content, but the archive ends 1024 bytes behind its header");
  CHECK(archive.refusal(with_size(std::string("\x80\0\0\0\0\0\0\0\0\0\0\x01", 12))) ==
        "member at byte 1024: a size in base 256 (negative, or above 8 GiB)");
  CHECK(archive.refusal(with_size(std::string(12, '\xFF'))) ==
        "member at byte 1024: a size in base 256 (negative, or above 8 GiB)");
  CHECK(archive.refusal(with_size("-0000000001")) == "member at byte 1024: its size is not an octal number");
  CHECK(archive.refusal(with_size("00000000008")) == "member at byte 1024: its size is not an octal number");
  CHECK(archive.refusal(with_size("0x10")) == "member at byte 1024: its size is not an octal number");
  // Through pax, which could say more than 64 bits.
  for (const char* size : {"-1", "9223372036854775808", "99999999999999999999999", "1e3", "", " 1"}) {
    CAPTURE(size);
    CHECK(archive.refusal(tar_member("x", pax_record("size", size), 'x') + tar_member("a", "x") +
                          tar_end()) == "member at byte 0: a pax size that is not a number");
  }
  CHECK(archive.refusal(tar_member("x", pax_record("size", "999999999999999999"), 'x') +
                        tar_member("a", "x")) ==
        "member at byte 1024: 999999999999999999 bytes of content, but the archive ends 512 bytes behind its "
        "header");
}

TEST_CASE("extended headers are bounded, and what they say is read strictly") {
  const Archive archive;
  const auto pax = [&](const std::string& records) {
    return archive.refusal(tar_member("x", records, 'x') + tar_member("a", "") + tar_end());
  };
  CHECK(archive.refusal(tar_member("x", std::string((1 << 20) + 1, 'x'), 'x')) ==
        "member at byte 0: an extended header of 1048577 bytes");
  CHECK(archive.refusal(tar_member("x", std::string((1 << 20) + 1, 'x'), 'L')) ==
        "member at byte 0: an extended header of 1048577 bytes");
  std::string many;
  for (int i = 0; i < 9; ++i) many += tar_member("x", pax_record("comment", "c"), i % 2 == 0 ? 'x' : 'g');
  CHECK(archive.refusal(many) == "member at byte 8192: more than 8 extended headers in a row");
  for (const char* text :
       {"5 a=b", "99 a=b\n", "a=b\n", "0 a=b\n", "2 a=b\n", "-6 a=b\n", "999999999999999999999 a=b\n"}) {
    CAPTURE(text);
    CHECK(pax(text).starts_with("member at byte 0: a pax record "));
  }
  CHECK(pax("6 a_b\n") == "member at byte 0: a pax record that is not key=value");
  CHECK(pax(pax_record("GNU.sparse.major", "1")) ==
        "member at byte 0: a sparse file; write the archive without them");
  CHECK(archive.refusal(tar_member("g", pax_record("path", "same"), 'g')) ==
        "member at byte 0: a pax header that gives all members one path");
  CHECK(archive.refusal(tar_member("x", pax_record("path", "p"), 'x')) ==
        "member at byte 1024: the archive ends behind an extended header");
}

TEST_CASE("names that could deceive are refused") {
  const Archive archive;
  const auto named = [&](const std::string& name) {
    return archive.refusal(tar_member("x", pax_record("path", name), 'x') + tar_member("a", "") + tar_end());
  };
  CHECK(named("a\nb.json") == "member at byte 1024: a name with a control character");
  CHECK(named(std::string("a\0b.json", 8)) == "member at byte 1024: a name with a control character");
  CHECK(named("\x1B[2J") == "member at byte 1024: a name with a control character");
  CHECK(named("\xC0\xAE\xC0\xAE/a.json") == "member at byte 1024: a name that is not UTF-8");
  CHECK(named(std::string(4097, 'n')) == "member at byte 5120: a name of 4097 bytes");
  CHECK(named("") == "member at byte 1024: a name of 0 bytes");
}

TEST_CASE("what is no tar archive, is damaged or cut is refused") {
  const Archive archive;
  const std::string whole = tar_member("a.json", std::string(600, 'x')) + tar_end();
  const std::string not_tar =
      "member at byte 0: the checksum of its header is wrong: not a tar archive, or a damaged one";
  CHECK(archive.refusal(std::string(1024, 'x')) == not_tar);
  std::string flipped = whole;
  flipped[3] = 'J';
  CHECK(archive.refusal(flipped) == not_tar);
  CHECK(archive.refusal(tar_block({.checksum = "0000000"})) == not_tar);
  CHECK(archive.refusal(whole.substr(0, 300)) == "member at byte 0: the archive is cut within a header");
  CHECK(archive.refusal(whole.substr(0, 1000)) ==
        "member at byte 0: 600 bytes of content, but the archive ends 488 bytes behind its header");
  for (const char* start : {"\x1F\x8B", "\x28\xB5\x2F\xFD", "\xFD\x37\x7A\x58", "BZh"}) {
    for (const std::size_t more : {std::size_t{0}, std::size_t{600}}) {
      CHECK(archive.refusal(start + std::string(more, '\0')) ==
            "a compressed archive; pictures are read from where they stand in it: unpack it first");
    }
  }
  CHECK(archive.refusal(tar_block({.type = 'S'})) ==
        "member at byte 0: a sparse file; write the archive without them");
  CHECK(archive.refusal(tar_block({.type = 'V'})) == "member at byte 0: a member of unknown type 0x56");
  // Two archives joined: the second would be lost.
  CHECK(archive.refusal(whole + whole) ==
        "data behind the end of the archive at byte 1536; archives that were joined must be taken apart");
  CHECK(members_of(archive.write(whole + std::string(20 * 512, '\0'))).size() == 1);
  CHECK(members_of(archive.write(whole.substr(0, whole.size() - 512))).size() == 1);
  // Between two members, as by a writer that was interrupted.
  CHECK(archive.refusal(whole.substr(0, whole.size() - 1024))
            .starts_with("cut off: the empty blocks that end"));
  CHECK(archive.refusal("").starts_with("cut off: "));
}

TEST_CASE("an archive cut at any byte, or with any byte of its headers changed, is read or refused") {
  const Archive archive;
  const std::string whole = tar_member("x", pax_record("path", "a.json"), 'x') + tar_member("n", "{}") +
                            tar_member("././@LongLink", "b.json", 'L') + tar_member("n", "{}") + tar_end();
  for (std::size_t size = 0; size < whole.size(); size += 7) {
    const std::string path = archive.write(whole.substr(0, size));
    std::vector<TarMember> members;
    const Failure failure = failure_of([&] { members = members_of(path); });
    CHECK(members.size() <= 2);
    CHECK((failure.code == ExitCode::done || failure.code == ExitCode::bad_data));
  }
  for (std::size_t at = 0; at < whole.size(); at += 3) {
    for (const char change : {'\x80', '\x01', '\x7F'}) {
      std::string bytes = whole;
      bytes[at] = static_cast<char>(bytes[at] ^ change);
      const std::string path = archive.write(bytes);
      const Failure failure = failure_of([&] {
        for (const TarMember& m : members_of(path)) {
          CHECK(m.offset + m.bytes <= static_cast<i64>(bytes.size()));
        }
      });
      CHECK((failure.code == ExitCode::done || failure.code == ExitCode::bad_data));
    }
  }
}

TEST_CASE("the fingerprint changes with names, sizes and order, not with pictures") {
  const Archive archive;
  const auto fingerprint = [&](const std::string& bytes) {
    return scan_tar(InputFile(archive.write(bytes)), [](const TarMember&) {});
  };
  const std::string a = tar_member("a", "1"), b = tar_member("b", "22");
  const u64 first = fingerprint(a + b + tar_end());
  CHECK(fingerprint(a + b + tar_end()) == first);
  CHECK(fingerprint(b + a + tar_end()) != first);
  CHECK(fingerprint(a + tar_member("b", "222") + tar_end()) != first);
  CHECK(fingerprint(a + tar_member("c", "22") + tar_end()) != first);
}
