#pragma once

#include <cassert>

namespace weir::inline v0::detail {

/// The links of an object that can be in one list of type Tag at a time. Leaves it when destroyed.
template <class Tag>
class ListNode {
 public:
  ListNode() noexcept = default;
  ListNode(const ListNode&) = delete;
  ListNode& operator=(const ListNode&) = delete;
  ~ListNode() { unlink(); }

  bool linked() const noexcept { return next_ != nullptr; }

  void unlink() noexcept {
    if (next_ == nullptr) return;
    next_->previous_ = previous_;
    previous_->next_ = next_;
    next_ = previous_ = nullptr;
  }

 private:
  template <class, class>
  friend class IntrusiveList;

  ListNode* next_ = nullptr;
  ListNode* previous_ = nullptr;
};

/// A doubly linked list of objects that bring their own links (T derives from ListNode<Tag>); it owns
/// none of them.
template <class T, class Tag>
class IntrusiveList {
 public:
  IntrusiveList() noexcept { reset(); }
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;
  ~IntrusiveList() {
    while (!empty()) pop_front();
    head_.next_ = head_.previous_ = nullptr;
  }

  bool empty() const noexcept { return head_.next_ == &head_; }
  T& front() noexcept { return *static_cast<T*>(head_.next_); }

  void push_back(T& object) noexcept {
    auto& node = static_cast<ListNode<Tag>&>(object);
    assert(!node.linked());
    node.previous_ = head_.previous_;
    node.next_ = &head_;
    head_.previous_->next_ = &node;
    head_.previous_ = &node;
  }

  T& pop_front() noexcept {
    T& object = front();
    static_cast<ListNode<Tag>&>(object).unlink();
    return object;
  }

  /// Takes all of `other`, in order, at the end.
  void splice_back(IntrusiveList& other) noexcept {
    if (other.empty()) return;
    ListNode<Tag>* first = other.head_.next_;
    ListNode<Tag>* last = other.head_.previous_;
    first->previous_ = head_.previous_;
    head_.previous_->next_ = first;
    last->next_ = &head_;
    head_.previous_ = last;
    other.reset();
  }

  /// Calls `visit` with each; it may unlink the one it is given, but no other.
  template <class Visit>
  void for_each(Visit visit) {
    for (ListNode<Tag>* node = head_.next_; node != &head_;) {
      ListNode<Tag>* next = node->next_;
      visit(*static_cast<T*>(node));
      node = next;
    }
  }

 private:
  void reset() noexcept { head_.next_ = head_.previous_ = &head_; }

  ListNode<Tag> head_;
};

}  // namespace weir::inline v0::detail
