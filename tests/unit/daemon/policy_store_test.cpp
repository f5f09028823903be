// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/daemon/temp_directory.h"
#include "userspace/daemon/files.h"
#include "userspace/daemon/lock.h"
#include "userspace/daemon/policy_set.h"
#include "userspace/daemon/policy_store.h"

#include <catch2/catch.hpp>
#include <cerrno>
#include <sys/stat.h>

using namespace penstock;
using namespace penstock::daemon;
namespace fs = std::filesystem;

namespace {

struct Places {
    Places() : store(directory.path + "/policies.d", directory.path + "/state") {
        fs::create_directory(directory.path + "/policies.d");
        REQUIRE(store.prepare().has_value());
    }
    TempDirectory directory;
    PolicyStore store;
};

std::string document(const std::string &name) {
    return "apiVersion: penstock/v1\nkind: EgressPolicy\nmetadata: {name: " + name +
           "}\nspec:\n  select: [{cgroup: /a}]\n  allow: [{name: x, domains: [example.com]}]\n";
}

} // namespace

TEST_CASE("policy files of both places are read in order, other files are not") {
    Places places;
    for (const auto *name :
         {"b.yaml", "a.yml", "c.json", "d.pb", ".hidden.yaml", "README", "e.yaml~", "f.yaml.new"})
        places.directory.write(std::string("policies.d/") + name, name);
    places.directory.write("state/applied/z.yaml", "z");
    const auto read = places.store.read(true);
    CHECK(read.diagnostics.empty());
    std::string names;
    for (const auto &[source, applied] : read.sources)
        names += source.text + (applied ? "* " : " ");
    CHECK(names == "a.yml b.yaml c.json d.pb z* ");
}

TEST_CASE("a file that can not be read is an error at its name, as is a missing directory that was in use") {
    Places places;
    fs::create_directory(places.directory.path + "/policies.d/dir.yaml");
    ::mkfifo((places.directory.path + "/policies.d/fifo.yaml").c_str(), 0600);
    CHECK(places.store.read(true).diagnostics.size() == 2);
    fs::remove_all(places.directory.path + "/policies.d");
    const auto missing = places.store.read(true);
    CHECK(policy::has_errors(missing.diagnostics));
    const auto fresh = places.store.read(false);
    CHECK_FALSE(policy::has_errors(fresh.diagnostics));
    CHECK(fresh.diagnostics.size() == 1);
}

TEST_CASE("the accepted set comes back octet for octet") {
    Places places;
    CHECK(places.store.load_accepted().error().code == ENOENT);
    const std::vector<StoredSource> sources = {
        {{"/p/a b.yaml", "text\nwith end\nlines", policy::Format::yaml}, false},
        {{"/p/empty.json", "", policy::Format::json}, true},
        {{"/p/c.pb", std::string("\0\xff\n", 3), policy::Format::protobuf}, false},
    };
    REQUIRE(places.store.save_accepted(sources).has_value());
    const auto again = places.store.load_accepted();
    REQUIRE(again.has_value());
    REQUIRE(again->size() == sources.size());
    for (std::size_t i = 0; i < sources.size(); ++i) {
        CHECK((*again)[i].source.file == sources[i].source.file);
        CHECK((*again)[i].source.text == sources[i].source.text);
        CHECK((*again)[i].source.format == sources[i].source.format);
        CHECK((*again)[i].applied == sources[i].applied);
    }
}

TEST_CASE("an accepted set that is cut short is refused") {
    Places places;
    REQUIRE(places.store.save_accepted({{{"/p/a.yaml", "text", policy::Format::yaml}, false}}).has_value());
    const auto path = places.directory.path + "/state/accepted";
    const auto whole = read_file(path, 1000);
    REQUIRE(whole.has_value());
    for (std::size_t length = 0; length < whole->size(); ++length) {
        INFO(length);
        REQUIRE(replace_file(path, whole->substr(0, length)).has_value());
        CHECK_FALSE(places.store.load_accepted().has_value());
    }
}

TEST_CASE("replacing a file leaves the whole new text, mode 0600 and no other file") {
    const TempDirectory directory;
    directory.write("f.new", "left by a crash");
    REQUIRE(replace_file(directory.path + "/f", "one").has_value());
    REQUIRE(replace_file(directory.path + "/f", "two").has_value());
    CHECK(*read_file(directory.path + "/f", 10) == "two");
    CHECK_FALSE(read_file(directory.path + "/f", 2).has_value());
    struct stat status {};
    REQUIRE(::stat((directory.path + "/f").c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0600);
    CHECK_FALSE(fs::exists(directory.path + "/f.new"));
    CHECK_FALSE(replace_file(directory.path + "/absent/f", "x").has_value());
}

TEST_CASE("a set knows which file each policy came from, and one bad document refuses it whole") {
    const auto good = load_policies(
        {{{"/p/a.yaml", document("one") + "---\n" + document("two"), policy::Format::yaml}, false},
         {{"/s/three.yaml", document("three"), policy::Format::yaml}, true}},
        {});
    REQUIRE(good.set);
    REQUIRE(good.set->policies.size() == 3);
    CHECK(good.set->source_of == std::vector<std::size_t>{0, 0, 1});
    CHECK(good.set->find("three") == &good.set->policies[2]);
    const auto bad = load_policies({{{"/p/a.yaml", document("one"), policy::Format::yaml}, false},
                                    {{"/p/b.yaml", document("one"), policy::Format::yaml}, false}},
                                   {});
    CHECK_FALSE(bad.set);
    CHECK(policy::has_errors(bad.diagnostics));
}

TEST_CASE("the state is nobody else's to list, and its lock is a file of its own") {
    const TempDirectory directory;
    const auto state = directory.path + "/deep/state";
    REQUIRE(PolicyStore(directory.path + "/policies", state).prepare().has_value());
    CHECK((fs::status(state).permissions() & fs::perms::all) == fs::perms::owner_all);
    directory.write("elsewhere", "kept");
    fs::create_symlink(directory.path + "/elsewhere", state + "/lock");
    CHECK_FALSE(lock_state(state).has_value());
    fs::remove(state + "/lock");
    CHECK(lock_state(state).has_value());
}
