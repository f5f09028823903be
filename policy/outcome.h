// SPDX-License-Identifier: Apache-2.0
// The result of reading one value: the value, or what is wrong with it in words for its author.
// (boost::system::result cannot tell a text value from a fault made of text.)
#pragma once

#include <string>
#include <utility>
#include <variant>

namespace penstock::policy {

struct Fault {
    std::string message;
};

template <class T> class Outcome {
  public:
    Outcome(T value) : held_(std::in_place_index<0>, std::move(value)) {}
    Outcome(Fault fault) : held_(std::in_place_index<1>, std::move(fault)) {}

    explicit operator bool() const { return held_.index() == 0; }
    const T &operator*() const { return std::get<0>(held_); }
    T &operator*() { return std::get<0>(held_); }
    const T *operator->() const { return &std::get<0>(held_); }
    const Fault &error() const { return std::get<1>(held_); }

  private:
    std::variant<T, Fault> held_;
};

} // namespace penstock::policy
